"""A lane's order on a GPU, seen without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from executors.torch_lane import Lane


def test_a_lane_begins_behind_its_callers_work_and_is_done_when_left(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[object] = []

    class Stream:
        def wait_stream(self, other: str) -> None:
            happened.append(f"waits for {other}")

        def synchronize(self) -> None:
            happened.append("done")

    @contextmanager
    def entered(_stream: Stream) -> Iterator[None]:
        happened.append("entered")
        yield
        happened.append("left")

    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: Stream())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: "the caller's")
    monkeypatch.setattr(torch.cuda, "stream", entered)
    with Lane(torch.device("cuda")).entered():
        happened.append("work")
    assert happened == ["waits for the caller's", "entered", "work", "done", "left"]
