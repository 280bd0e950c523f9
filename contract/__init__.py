"""What every part must agree on. Standard library only.

Start with `geometry` (sizes), then `cache_plan` (which cached frame is attended where, and what a garment switch
does to it), `schedule` (timesteps, sigmas, noise counters), `tensors` (names and types at the engine's border,
the repository manifest), `arena_layout` (where the bytes of a session lie) and
`engine_manifest` (which TensorRT engines may be loaded where).
"""
