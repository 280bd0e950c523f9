"""The stateless encoders in PyTorch: arrays in, array out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from executors.base import Arrays
from executors.torch_lane import Lane


class TorchEncoder:
    """EncoderExecutor. Requests of a batch run one behind the other: no result depends on its neighbours."""

    def __init__(self, encode: Callable[..., Tensor], names: Sequence[str], device: torch.device) -> None:
        """
        Args:
            encode: takes the inputs in the order of `names`, on the device.
        """
        self._encode = encode
        self._names = names
        self._lane = Lane(device)

    def run(self, requests: Sequence[Arrays]) -> list[NDArray[Any]]:
        """Each request's inputs are [b, ...]; so is each result."""
        return [self._run(request) for request in requests]

    def _run(self, request: Arrays) -> NDArray[Any]:
        with self._lane.entered():
            inputs = [torch.from_numpy(np.ascontiguousarray(request[name])) for name in self._names]
            return self._lane.fetch(self._encode(*(tensor.to(self._lane.device) for tensor in inputs)))
