"""What runs inside tritonserver, behind the python backend: models over a narrow executor seam.

`triton_models.py` unpacks requests, an executor (`base.py`) computes, `onnx_*.py` are the executors for ONNX Runtime on
a host arena (`host_arena.py`). `model_repository/*/1/model.py` are shells over this package.
"""
