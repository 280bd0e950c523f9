"""The stateless encoders over ONNX Runtime: arrays in, array out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from executors.base import Arrays
from executors.onnx_session import open_session


class OnnxEncoder:
    """A graph with one output. Requests of a batch run one behind the other: no result depends on its neighbours."""

    def __init__(self, graph: Path) -> None:
        self._session = open_session(graph)
        (self._output,) = (output.name for output in self._session.get_outputs())

    def run(self, requests: Sequence[Arrays]) -> list[NDArray[Any]]:
        """Each request's inputs are [b, ...]; so is each result."""
        return [self._session.run([self._output], dict(request))[0] for request in requests]
