"""Puts the real engine together: manifest, arena, and a tritonserver of our own or a running one."""

from __future__ import annotations

from pathlib import Path

from contract.arena_layout import ArenaLayout
from contract.tensors import TEXT_ENCODER, Executor, Manifest
from service.engine.arena import HostArena
from service.engine.base import EngineError
from service.engine.tokenizer import open_tokenizer
from service.engine.triton import TritonEngine
from service.engine.triton_server import TritonServer

_READY_ON_HOST_S = 120.0
_READY_ON_DEVICE_S = 900.0
"""Checkpoints or engines of tens of gigabytes are read, in four processes."""


def triton_engine(
    *, repository: Path, blocks: int, url: str | None, workdir: Path, metrics_port: int = 0, threads: int | None = None
) -> TritonEngine:
    """An engine that has not been started yet.

    Args:
        repository: the model repository, with its manifest; a running server must have loaded the same.
        blocks: sessions that fit.
        url: of a running server, which must share our /dev/shm; None: one of our own on the loopback interface.
        workdir: for a server of our own: its private backend folder and its log.
        metrics_port: for a server of our own; 0: any.
        threads: for a server of our own: of each model instance.

    Raises:
        EngineError: there is no tritonserver to start.
        OSError, ValueError: the manifest cannot be read, or the arena's memory cannot be had.
    """
    manifest = Manifest.read(repository)
    tokenizer = open_tokenizer(manifest.tokenizer, repository / TEXT_ENCODER / "1")
    on_host = manifest.executor is Executor.ONNXRUNTIME
    arena = HostArena(ArenaLayout(geometry=manifest.geometry, blocks=blocks), header_only=not on_host)
    ready_timeout_s = _READY_ON_HOST_S if on_host else _READY_ON_DEVICE_S
    if url is not None:
        return TritonEngine(manifest, arena, tokenizer, url=url, ready_timeout_s=ready_timeout_s)
    try:
        # Named like the arena, so that whoever finds it abandoned removes the backend's shared memory too.
        server = TritonServer(
            repository, workdir, shm_prefix=f"{arena.prefix}backend-", metrics_port=metrics_port, threads=threads
        )
    except EngineError:
        arena.close()
        raise
    return TritonEngine(manifest, arena, tokenizer, server=server, ready_timeout_s=ready_timeout_s)
