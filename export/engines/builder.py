"""One ONNX file to one engine, through Polygraphy, with TensorRT's own word on what it could not do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from polygraphy.exception import PolygraphyException
from polygraphy.logger import G_LOGGER

from contract.engine_manifest import Profile
from export.engines.profiles import input_shapes, shapes

ComputeCapability = tuple[int, int]


class BuildError(RuntimeError):
    """A graph that TensorRT does not take; the message names graph, node and operator."""


def build(
    path: Path,
    profiles: Sequence[Profile],
    *,
    tensorrt: ModuleType,
    target: ComputeCapability | None = None,
    timing_cache: Path | None = None,
) -> bytes:
    """Build the engine of a graph, strongly typed: in the types that the graph states.

    Args:
        tensorrt: what `library.use_tensorrt` or `use_rtx` returned.
        target: with TensorRT-RTX, the GPU to build for; None: the one at hand.
        timing_cache: read if it is there, and written.

    Raises:
        FileNotFoundError, ValueError: as `input_shapes`.
        BuildError: it does not parse, or does not build.
    """
    # Here, because they bind TensorRT when they are imported.
    from polygraphy.backend import trt

    inputs = input_shapes(path)
    created = [_profile(trt, shapes(profile, inputs)) for profile in profiles]
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL + 1):  # what is wrong is told by the exception
        try:
            network = trt.network_from_onnx_path(str(path), strongly_typed=True)
        except PolygraphyException as error:
            raise BuildError("\n".join(f"{path}: {line}" for line in _parser_errors(path, tensorrt))) from error
    with G_LOGGER.verbosity(G_LOGGER.ERROR):
        try:
            return bytes(
                trt.engine_bytes_from_network(
                    network,
                    config=_config(created, target=target, timing_cache=timing_cache),
                    save_timing_cache=None if timing_cache is None else str(timing_cache),
                )
            )
        except PolygraphyException as error:
            raise BuildError(f"{path}: parsed, but no engine came of it: {error}") from error


def _config(profiles: list[Any], *, target: ComputeCapability | None, timing_cache: Path | None) -> Any:
    from polygraphy.backend.trt import CreateConfig

    cache = str(timing_cache) if timing_cache is not None and timing_cache.exists() else None
    if target is None:
        return CreateConfig(profiles=profiles, load_timing_cache=cache)
    from polygraphy.backend.tensorrt_rtx import CreateConfigRTX

    return CreateConfigRTX(profiles=profiles, load_timing_cache=cache, compute_capabilities=[target])


def _profile(trt: Any, exact: dict[str, tuple[int, ...]]) -> Any:
    profile = trt.Profile()
    for name, shape in exact.items():
        profile.add(name, min=shape, opt=shape, max=shape)
    return profile


def _parser_errors(path: Path, tensorrt: ModuleType) -> list[str]:
    """Parse again, for what Polygraphy only prints: each node at fault with its operator and the reason."""
    from polygraphy.backend.trt import get_trt_logger

    logger = get_trt_logger()
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    parser.parse_from_file(str(path))
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return [f"node {error.node_name() or error.node()} ({error.node_operator()}): {_reason(error)}" for error in errors]


def _reason(error: Any) -> str:
    """The kind of error, and what the parser adds to it: for a node that it does not know that is "false"."""
    added: str = error.desc().partition("\n")[0]
    return error.code().name if added in ("", "false") else f"{error.code().name}: {added}"
