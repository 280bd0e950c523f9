"""Times work on a device: as CUDA graphs between events on a GPU, plainly on a CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_WARM_UPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Of some runs, in milliseconds."""

    runs: int
    median_ms: float
    least_ms: float
    most_ms: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> Times:
        return cls(
            runs=len(milliseconds),
            median_ms=statistics.median(milliseconds),
            least_ms=min(milliseconds),
            most_ms=max(milliseconds),
        )


class Clock:
    """Runs work on one stream of a device."""

    def __init__(self, device: torch.device, *, runs: int) -> None:
        self.device = device
        self.runs = runs
        self.on_gpu = device.type == "cuda"

    def measure(self, work: Callable[[], object], *, graph: bool = True) -> Times:
        """`work` may be repeated. On a GPU it is captured as a graph, unless `graph` is false."""
        with torch.no_grad():
            for _ in range(_WARM_UPS):
                work()
            if not self.on_gpu:
                return Times.of([_wall_ms(work) for _ in range(self.runs)])
            play = self.captured(work) if graph else work
            torch.cuda.synchronize(self.device)
            return Times.of([self._event_ms(play) for _ in range(self.runs)])

    def captured(self, work: Callable[[], object]) -> Callable[[], object]:
        """`work`, which has run before, as a graph that is replayed on the stream that is current then."""
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            work()

        def replay() -> None:
            graph.replay()

        return replay

    def answers(self) -> bool:
        """Whether the device still does: an illegal access, say, ends its use in this process."""
        try:
            if self.on_gpu:
                torch.cuda.synchronize(self.device)
        except RuntimeError:
            return False
        return True

    def reset_peak(self) -> None:
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gb(self) -> float | None:
        return torch.cuda.max_memory_allocated(self.device) / 1e9 if self.on_gpu else None

    def _event_ms(self, work: Callable[[], object]) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))


def _wall_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)
