"""The real engine: Triton's models over gRPC, caches in a shared-memory arena, frames back through shared memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule
from contract.tensors import STUDENT, TEXT_ENCODER, VAE_DECODER, VAE_ENCODER, DType, Manifest, Model, Operation, models
from service.engine.arena import SHARED_MEMORY, HostArena
from service.engine.base import DecodeRequest, EngineError, EngineUnavailable, Frames, Latents, PassRequest
from service.engine.rehearsal import rehearse
from service.engine.tokenizer import Tokenizer, padded
from service.engine.triton_server import TritonServer

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]

_READY_POLL_S = 0.1
_CALL_TIMEOUT_S = 60.0
"""A model that takes longer hangs."""
_CONTROL_TIMEOUT_S = 5.0
"""Of calls that compute nothing."""
_FRAMES_COPIED_ON_THE_LOOP_BYTES = 4 << 20
_CHANNEL = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    # A server that comes back is found again at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
_NO_SLOT = -1
_RESTART = -1


class TritonEngine:
    """An `Engine` over a tritonserver on this host: our own, or a running one that shares our /dev/shm.

    A lost server is waited for. An arena in shared memory outlives it, so blocks hold what they held; one in a GPU's
    memory does not, and the models' births tell.

    A call without an answer may still write to its block. So a server that hangs is as good as lost, and the engine is
    not up again before every such call has ended: by the death of a server of our own, which is killed for it, or by
    the answer or the death of another's.
    """

    def __init__(
        self,
        manifest: Manifest,
        arena: HostArena,
        tokenizer: Tokenizer,
        *,
        server: TritonServer | None = None,
        url: str | None = None,
        ready_timeout_s: float = 120.0,
    ) -> None:
        """
        Args:
            manifest: of the repository that the server has loaded.
            arena: ours from now on, closed with the engine.
            tokenizer: the one that the manifest names.
            server: our own, to be started and stopped with the engine; else `url` names a running one.
            ready_timeout_s: how long `start` waits for the models.
        """
        self._manifest = manifest
        self._models = {model.name: model for model in models(manifest.geometry)}
        self._tokenize = tokenizer
        self._server = server
        self._url = server.url if server is not None else url
        self._ready_timeout_s = ready_timeout_s
        self._arena = arena
        self._arena_name = np.array([self._arena.name.encode()], np.object_)
        self._region = self._arena.frames.name
        self._recovery: asyncio.Task[None] | None = None
        self._unanswered: set[asyncio.Task[triton.InferResult]] = set()
        """Calls that were given up and may still run."""
        self._serving = self._closing = False
        self._births: list[int] = []
        self._chunk_cost_s = 0.0
        self._on_down: Callable[[], None] = lambda: None
        self._on_up: Callable[[bool], None] = lambda _kept: None
        self._connection: triton.InferenceServerClient | None = None

    @property
    def _client(self) -> triton.InferenceServerClient:
        assert self._connection is not None, "not started"
        return self._connection

    @property
    def geometry(self) -> StudentGeometry:
        return self._manifest.geometry

    @property
    def schedule(self) -> DenoisingSchedule:
        return self._manifest.schedule

    @property
    def blocks(self) -> int:
        return self._arena.layout.blocks

    @property
    def chunk_cost_s(self) -> float:
        return self._chunk_cost_s

    def token_count(self, prompt: str) -> int:
        return len(self._tokenize(prompt))

    # Life

    async def start(self, on_down: Callable[[], None], on_up: Callable[[bool], None]) -> None:
        """Start or find the server, show that both sides see the same arena, rehearse.

        Raises:
            EngineError: the models do not load, or see another arena; with the end of the server's log.
        """
        try:
            self._connection = triton.InferenceServerClient(self._url, channel_args=_CHANNEL)
            if self._server is not None:
                await self._server.start(self._lost)
            async with asyncio.timeout(self._ready_timeout_s):
                await self._until_ready(give_up_on_exit=True)
            await self._attach()
            self._births = self._count_births()
            self._chunk_cost_s = await rehearse(self)
        except BaseException as error:
            tail = "" if self._server is None else f"; the server's log ends:\n{self._server.log_tail()}"
            await self.close()
            if not isinstance(error, EngineError | OSError):
                raise
            reason = str(error) or f"the models were not ready within {self._ready_timeout_s:.0f} s"
            raise EngineError(f"the engine did not start: {reason}{tail}") from error
        self._on_down, self._on_up = on_down, on_up
        self._serving = True

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        async with AsyncExitStack() as last_first:  # each step, whatever becomes of the others
            last_first.callback(self._arena.close)
            if self._server is not None:
                last_first.push_async_callback(self._server.stop)
            if self._connection is not None:
                last_first.push_async_callback(self._connection.close)
                if self._server is None:
                    last_first.push_async_callback(self._unregister)
            tasks = [*self._unanswered, *([] if self._recovery is None else [self._recovery])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _lost(self) -> None:
        """The server died, a call did not reach it, or one hangs. While we start, the failing call says it all."""
        if not self._serving or self._closing or (self._recovery is not None and not self._recovery.done()):
            return
        log.error("the engine is lost")
        self._on_down()
        self._recovery = asyncio.create_task(self._recover(), name="recover the engine")

    async def _recover(self) -> None:
        """Until the engine is up. No error ends it before: nobody else would bring the engine back."""
        while True:
            try:
                await self._until_nothing_runs()
                await self._until_ready(give_up_on_exit=False)
                await self._attach()
                births = self._count_births()
                kept = births == self._births
                log.info("the engine is back, %s", "its blocks are as they were" if kept else "without its blocks")
                self._on_up(kept)
                self._births = births
                return
            except EngineError as error:
                log.warning("the engine came back and failed again: %s", error)
            except Exception:
                log.exception("the engine could not be brought back, trying again")
            await asyncio.sleep(_READY_POLL_S)

    async def _until_nothing_runs(self) -> None:
        """Blocks are used again behind this, so no call that was given up may still write."""
        while self._unanswered:
            if self._server is not None:
                log.error("killing tritonserver, which hangs")
                await self._server.kill()
            await asyncio.wait(tuple(self._unanswered))

    async def _until_ready(self, *, give_up_on_exit: bool) -> None:
        while not await self._is_ready():
            if give_up_on_exit and self._server is not None and self._server.exited():
                raise EngineError("tritonserver exited")
            await asyncio.sleep(_READY_POLL_S)  # Triton offers no call that waits for readiness

    async def _is_ready(self) -> bool:
        try:
            return all(
                [await self._client.is_model_ready(name, client_timeout=_CONTROL_TIMEOUT_S) for name in self._models]
            )
        except InferenceServerException:
            return False

    async def _attach(self) -> None:
        """Make the frames region known, forget those of orchestrators that are gone, compare memory."""
        try:
            status = await self._client.get_system_shared_memory_status(as_json=True, client_timeout=_CONTROL_TIMEOUT_S)
            for name in status.get("regions", {}):
                if name.startswith("chameleon-") and (name == self._region or not _exists(name)):
                    await self._client.unregister_system_shared_memory(name, client_timeout=_CONTROL_TIMEOUT_S)
            await self._client.register_system_shared_memory(
                self._region, f"/{self._region}", self._arena.frames.size, client_timeout=_CONTROL_TIMEOUT_S
            )
        except InferenceServerException as error:
            raise EngineError(f"the frames region cannot be shared with Triton: {error}") from error
        for model in self._models.values():
            if model.probe_cell is not None:
                await self._compare_memory(model, model.probe_cell)

    def _count_births(self) -> list[int]:
        cells = [model.probe_cell for model in self._models.values()]
        return [self._arena.birth_count(cell) for cell in cells if cell is not None]

    async def _compare_memory(self, model: Model, cell: int) -> None:
        before = self._arena.probe_count(cell)
        await self._operate(model.name, Operation.PROBE, block=0)
        if self._arena.probe_count(cell) != before + 1:
            raise EngineError(f"{model.name} sees another arena than ours: /dev/shm is not shared with Triton")

    async def _unregister(self) -> None:
        """A running server that we leave must not keep our region."""
        try:
            await self._client.unregister_system_shared_memory(self._region, client_timeout=_CONTROL_TIMEOUT_S)
        except InferenceServerException as error:
            log.warning("the frames region stays registered: %s", error)

    # Calls

    async def encode_text(self, prompt: str) -> NDArray[np.float32]:
        tokens, mask = padded(self._tokenize(prompt), self.geometry.text_tokens)
        result = await self._infer(TEXT_ENCODER, {"input_ids": tokens[None], "attention_mask": mask[None]})
        context: NDArray[np.float32] = result.as_numpy("text_context")[0]
        return context

    async def encode_image(self, rgb: NDArray[np.uint8]) -> Latents:
        result = await self._infer(VAE_ENCODER, {"image": rgb[None]})
        latent: Latents = result.as_numpy("latent")
        return latent

    async def run_pass(self, request: PassRequest) -> Latents:
        plan, frames = request.plan, len(request.latent)
        write_slot = _NO_SLOT if plan.write_slot is None else plan.write_slot
        inputs: dict[str, NDArray[Any]] = {
            "latent": request.latent[None],
            "timestep": np.full((1, frames), request.timestep, np.float32),
            "position": np.array([plan.positions], np.int64),
            "past_position": np.array([plan.past_positions], np.int64).reshape(1, -1),
            "move": np.array(plan.moves, np.int32).reshape(1, -1, 2),
            "write_slot": np.array([[write_slot]], np.int32),
        }
        if request.text_context is not None:
            inputs["text_context"] = request.text_context[None]
        result = await self._infer(STUDENT, inputs | self._place(STUDENT, request.block))
        flow: Latents = result.as_numpy("flow")[0]
        return flow

    async def decode(self, request: DecodeRequest) -> Frames:
        read_bank = _RESTART if request.read_bank is None else request.read_bank
        inputs = {
            "latent": request.latent,
            "read_bank": np.array([read_bank], np.int32),
            "write_bank": np.array([request.write_bank], np.int32),
        }
        offset = self._arena.frames_offset(request.block)
        frames = triton.InferRequestedOutput("frames")
        frames.set_shared_memory(self._region, self._arena.frames_bytes, offset)
        result = await self._infer(VAE_DECODER, inputs | self._place(VAE_DECODER, request.block), frames)
        shape = tuple(result.get_output("frames").shape)
        # The region is written again by the block's next decode: hand out a copy.
        there: Frames = np.ndarray(shape, np.uint8, self._arena.frames.map, offset)
        if there.nbytes > _FRAMES_COPIED_ON_THE_LOOP_BYTES:
            return await asyncio.to_thread(there.copy)
        return there.copy()

    async def clear(self, block: int) -> None:
        for name in (STUDENT, VAE_DECODER):
            await self._operate(name, Operation.CLEAR, block=block)

    async def _operate(self, name: str, operation: Operation, *, block: int) -> None:
        """An operation without tensors: every input that it does not use is empty."""
        model = self._models[name]
        batch = (1,) if model.max_batch_size else ()
        inputs = {
            tensor.name: np.zeros(
                batch + tuple(max(size, 0) for size in tensor.shape), triton_to_np_dtype(tensor.dtype)
            )
            for tensor in model.inputs
            if not tensor.optional and tensor.dtype is not DType.BYTES
        }
        await self._infer(name, inputs | self._place(name, block, operation))

    def _place(self, model: str, block: int, operation: Operation = Operation.RUN) -> dict[str, NDArray[Any]]:
        """The inputs that say where in the arena."""
        batch = (1, 1) if self._models[model].max_batch_size else (1,)
        return {
            "arena": self._arena_name.reshape(batch),
            "block": np.full(batch, block, np.int32),
            "operation": np.full(batch, operation, np.int32),
        }

    async def _infer(
        self, model: str, inputs: Arrays, output: triton.InferRequestedOutput | None = None
    ) -> triton.InferResult:
        tensors = [_tensor(name, array) for name, array in inputs.items()]
        # No time limit of gRPC's: it would end the call for us and not for the server, and nobody heard of its end.
        call = asyncio.create_task(
            self._client.infer(model, tensors, outputs=None if output is None else [output]), name=f"call {model}"
        )
        try:
            await asyncio.wait({call}, timeout=_CALL_TIMEOUT_S)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if not call.done():
            self._give_up(call)
            raise EngineUnavailable(f"{model} has not answered for {_CALL_TIMEOUT_S:.0f} s")
        try:
            return call.result()
        except InferenceServerException as error:
            if _is_lost(error):
                self._lost()
                raise EngineUnavailable(f"{model} cannot be reached: {error.message()}") from error
            raise EngineError(f"{model}: {error.message()}") from error

    def _give_up(self, call: asyncio.Task[triton.InferResult]) -> None:
        """Its answer is of no use any more; that there is one still is."""

        def ended(call: asyncio.Task[triton.InferResult]) -> None:
            self._unanswered.discard(call)
            if not call.cancelled():
                log.warning("%r, which hung, has ended: %s", call.get_name(), call.exception() or "answered")

        log.error("%r hangs", call.get_name())
        self._unanswered.add(call)
        call.add_done_callback(ended)
        self._lost()


def _tensor(name: str, array: NDArray[Any]) -> triton.InferInput:
    tensor = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def _is_lost(error: InferenceServerException) -> bool:
    """Whether the server is gone, as opposed to refusing the call.

    A python model's process may die alone, and a server that was told to stop unloads its models before it goes. On one
    host a connection breaks only as its server dies, so nothing of a call that is lost by it still runs for long.
    """
    gone = error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.CANCELLED")
    said = error.message().lower()
    return gone or "stub process" in said or "no available versions" in said


def _exists(region: str) -> bool:
    return (SHARED_MEMORY / region).exists()
