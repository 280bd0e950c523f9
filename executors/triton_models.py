"""The classes that Triton's python backend loads: requests to calls, results to responses.

One request that cannot be served gets an error of its own; the others of its batch are served.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from contract.geometry import StudentGeometry
from contract.tensors import Manifest, Model, Operation, models
from executors.base import ArenaKeeper, CallError, DecodeCall, PassCall
from executors.kinds import Kind, open_kind

Request = Any
Response = Any


class _Served(ABC):
    """What every model of the repository knows at load: its contract, and the kind of executors to open."""

    def initialize(self, args: dict[str, str]) -> None:
        repository, name = Path(args["model_repository"]).parent, args["model_name"]
        self.geometry: StudentGeometry = Manifest.read(repository).geometry
        self.model: Model = next(model for model in models(self.geometry) if model.name == name)
        self.load(open_kind(repository))

    @abstractmethod
    def load(self, kind: Kind) -> None:
        """Open the model's executor."""

    def response(self, result: NDArray[Any] | CallError) -> Response:
        if isinstance(result, CallError):
            error = pb_utils.TritonError(str(result), pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        (output,) = self.model.outputs
        return pb_utils.InferenceResponse([pb_utils.Tensor(output.name, result)])


class Student(_Served):
    """`student`: passes over the arena, batched over sessions."""

    def load(self, kind: Kind) -> None:
        self._executor = kind.student(self.model)

    def execute(self, requests: Sequence[Request]) -> list[Response]:
        results: list[NDArray[np.float32] | CallError | None] = [None] * len(requests)
        calls: dict[int, PassCall] = {}
        for index, request in enumerate(requests):
            try:
                if _operate(self._executor, request):
                    results[index] = np.zeros((1, 0, *self.geometry.latent_shape), np.float32)
                else:
                    calls[index] = _pass_call(request)
            except CallError as error:
                results[index] = error
        for index, result in zip(calls, self._executor.run(list(calls.values())), strict=True):
            results[index] = result if isinstance(result, CallError) else result[None]
        return [self.response(result) for result in results if result is not None]


class VaeDecoder(_Served):
    """`vae_decoder`: chunks through the streaming decoder, whose caches lie in the arena."""

    def load(self, kind: Kind) -> None:
        self._executor = kind.decoder(self.model)

    def execute(self, requests: Sequence[Request]) -> list[Response]:
        return [self.response(self._result(request)) for request in requests]

    def _result(self, request: Request) -> NDArray[np.uint8] | CallError:
        try:
            if _operate(self._executor, request):
                return np.zeros((0, self.geometry.frame_height, self.geometry.frame_width, 3), np.uint8)
            return self._executor.run(_decode_call(request))
        except CallError as error:
            return error


class Encoder(_Served):
    """`vae_encoder` and `text_encoder`: one network each, no state."""

    def load(self, kind: Kind) -> None:
        self._executor = kind.encoder(self.model)

    def execute(self, requests: Sequence[Request]) -> list[Response]:
        names = [tensor.name for tensor in self.model.inputs]
        return [
            self.response(result)
            for result in self._executor.run([{name: _array(request, name) for name in names} for request in requests])
        ]


def _operate(executor: ArenaKeeper, request: Request) -> bool:
    """Carry out an operation other than RUN; False if it is RUN."""
    operation = _integer(request, "operation")
    if operation == Operation.RUN:
        return False
    if operation == Operation.CLEAR:
        executor.clear(_arena(request), _integer(request, "block"))
    elif operation == Operation.PROBE:
        executor.probe(_arena(request))
    else:
        raise CallError(f"operation: {operation} is not one of {', '.join(f'{o.value} ({o.name})' for o in Operation)}")
    return True


def _pass_call(request: Request) -> PassCall:
    write_slot = _integer(request, "write_slot")
    text = pb_utils.get_input_tensor_by_name(request, "text_context")
    return PassCall(
        arena=_arena(request),
        block=_integer(request, "block"),
        latent=_one(request, "latent"),
        timestep=_one(request, "timestep"),
        position=_one(request, "position"),
        past_position=_one(request, "past_position"),
        moves=_one(request, "move"),
        write_slot=None if write_slot < 0 else write_slot,
        text_context=None if text is None else text.as_numpy()[0],
    )


def _decode_call(request: Request) -> DecodeCall:
    read_bank = _integer(request, "read_bank")
    return DecodeCall(
        arena=_arena(request),
        block=_integer(request, "block"),
        latent=_array(request, "latent"),
        read_bank=None if read_bank < 0 else read_bank,
        write_bank=_integer(request, "write_bank"),
    )


def _array(request: Request, name: str) -> NDArray[Any]:
    array: NDArray[Any] = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    return array


def _one(request: Request, name: str) -> NDArray[Any]:
    """Without the batch dimension. A request to a model with state is about one session."""
    array = _array(request, name)
    if len(array) != 1:
        raise CallError(f"{name}: one session a request, got a batch of {len(array)}")
    one: NDArray[Any] = array[0]
    return one


def _integer(request: Request, name: str) -> int:
    return int(_array(request, name).flat[0])


def _arena(request: Request) -> str:
    name: bytes = _array(request, "arena").flat[0]
    return name.decode("ascii", "replace")
