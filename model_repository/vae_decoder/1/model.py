"""The model as Triton loads it; the work is in executors/."""

from executors.triton_models import VaeDecoder as TritonPythonModel

__all__ = ["TritonPythonModel"]
