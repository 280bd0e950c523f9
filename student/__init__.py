"""The network in PyTorch: the reference against which every engine is judged.

Start with `dit` (the causal backbone), then `vae` (streaming decode), `text`, and `rollout`, which puts them together
through the same cache plan as the service. `student` holds the three networks of one geometry, `nano` is the embedded
one; `parity` compares with recorded tensors.
"""
