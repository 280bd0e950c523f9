"""A server that speaks Triton's protocol over the embedded student's models and computes nothing; one call may hang."""

# ruff: noqa: N802 - the protocol names the methods

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from contract.geometry import StudentGeometry
from contract.tensors import DType, Operation, models
from executors.arena_file import ArenaFile

_NUMPY = {DType.FP32: np.float32, DType.UINT8: np.uint8}


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers every call at once, but for the next RUN of `hangs`, which waits for `answer`. Probes are counted."""

    def __init__(self, geometry: StudentGeometry) -> None:
        self._geometry = geometry
        self._models = {model.name: model for model in models(geometry)}
        self.hangs: str | None = None
        self.answer = asyncio.Event()

    async def ModelReady(self, request: Any, context: grpc.aio.ServicerContext) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=True)

    async def SystemSharedMemoryStatus(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return pb.SystemSharedMemoryStatusResponse()

    async def SystemSharedMemoryRegister(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return pb.SystemSharedMemoryRegisterResponse()

    async def SystemSharedMemoryUnregister(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return pb.SystemSharedMemoryUnregisterResponse()

    async def ModelInfer(self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext) -> Any:
        model = self._models[request.model_name]
        given = {tensor.name: raw for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)}
        operation = np.frombuffer(given["operation"], np.int32)[0] if "operation" in given else Operation.RUN
        if operation == Operation.PROBE:
            assert model.probe_cell is not None
            ArenaFile(given["arena"][4:].decode(), self._geometry).probe(model.probe_cell)  # behind its length
        if operation == Operation.RUN and self.hangs == model.name:
            self.hangs = None
            await self.answer.wait()
        (output,) = model.outputs
        # A single frame where how many there are varies: nobody looks.
        shape = [1] * (model.max_batch_size > 0) + [max(1, size) for size in output.shape]
        answer = pb.ModelInferResponse(model_name=model.name)
        answer.outputs.add(name=output.name, datatype=output.dtype.value, shape=shape)
        if not request.outputs:  # else it belongs into shared memory
            answer.raw_output_contents.append(np.zeros(shape, _NUMPY[output.dtype]).tobytes())
        return answer


@asynccontextmanager
async def fake_triton(geometry: StudentGeometry) -> AsyncIterator[tuple[FakeTriton, str]]:
    """The fake and its address, on loopback."""
    server, fake = grpc.aio.server(), FakeTriton(geometry)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield fake, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
