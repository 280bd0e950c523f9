"""TensorRT, or TensorRT-RTX in its place: which of the two Polygraphy builds with, once for the whole process."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from polygraphy import config

from contract.engine_manifest import Machine

RTX_PACKAGES = ("onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0", "tensorrt-rtx-cu13-bindings==1.7.1.116")
_RTX_LIBRARIES = ("libtensorrt_rtx.so.*.*", "libtensorrt_onnxparser_rtx.so.*.*")
_RTX_LIBRARY_MODULE, _RTX_BINDINGS = "onnxruntime_ep_nv_tensorrt_rtx", "tensorrt_rtx_bindings"


class ToolError(RuntimeError):
    """Something that has to be installed, or a device, is not there; the message says what to do."""


def use_rtx() -> ModuleType:
    """Load TensorRT-RTX, whose parser and builder run without a GPU, and make Polygraphy use it.

    Its bindings look for libraries by names that the wheel does not have; a library that is loaded already is found by
    the name it carries inside, so loading both by path does what links and LD_LIBRARY_PATH would.

    Raises:
        ToolError: the wheels are not installed, or Polygraphy builds with TensorRT already.
    """
    spec = importlib.util.find_spec(_RTX_LIBRARY_MODULE)
    if spec is None or spec.origin is None or importlib.util.find_spec(_RTX_BINDINGS) is None:
        raise ToolError(f"the TensorRT-RTX wheels are not installed: pip install {' '.join(RTX_PACKAGES)}")
    _settle(rtx=True)
    for pattern in _RTX_LIBRARIES:
        for library in sorted(Path(spec.origin).parent.glob(pattern)):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    bindings = importlib.import_module(_RTX_BINDINGS)
    sys.modules["tensorrt_rtx"] = bindings  # Polygraphy's name for it, as in NVIDIA's own package
    return bindings


def use_tensorrt() -> ModuleType:
    """Load TensorRT itself.

    Raises:
        ToolError: it is not installed, or Polygraphy builds with TensorRT-RTX already.
    """
    if importlib.util.find_spec("tensorrt") is None:
        raise ToolError("tensorrt is not installed: pip install tensorrt (11 or later), on a machine with the GPU")
    _settle(rtx=False)
    return importlib.import_module("tensorrt")


def this_machine(tensorrt: ModuleType) -> Machine:
    """What engines built here are bound to.

    Raises:
        ToolError: there is no GPU.
    """
    import torch

    if not torch.cuda.is_available():
        raise ToolError("no GPU: engines are built and measured on the GPU they run on; `check` needs none")
    major, minor = torch.cuda.get_device_capability()
    return Machine(
        tensorrt=tensorrt.__version__, gpu=torch.cuda.get_device_name(), compute_capability=f"{major}.{minor}"
    )


def _settle(*, rtx: bool) -> None:
    # Polygraphy decides when its modules are imported, and for good.
    if "polygraphy.backend.trt" in sys.modules and rtx != config.USE_TENSORRT_RTX:
        raise ToolError("TensorRT and TensorRT-RTX cannot both be used in one process")
    config.USE_TENSORRT_RTX = rtx
