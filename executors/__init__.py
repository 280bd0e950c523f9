"""What runs inside tritonserver, behind the python backend: models over a narrow executor seam.

`triton_models.py` unpacks requests, an executor (`base.py`) computes. `kinds.py` chooses: `onnx_*.py` compute with ONNX
Runtime over an arena in shared memory (`host_arena.py`), `tensorrt_*.py` and `torch_*.py` on a GPU over one in its
memory (`device_arena.py`). `model_repository/*/1/model.py` are shells over this package.
"""
