"""A stream in its steady state: a chunk decodes on one CUDA stream while the next is denoised on another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.gpu_clock import Clock, Times

_CHUNKS = 4


def overlapped(clock: Clock, chunk: Callable[[], Tensor], decode: Callable[[Tensor], object]) -> Times:
    """From one chunk's decoded frames to the next one's, in a row of chunks; tries until there are `clock.runs` chunks.

    Args:
        chunk: makes clean latents [1, F, C, h, w], always in the same memory.
        decode: takes [F, C, h, w].
    """
    with torch.no_grad():
        handed = chunk()[0].clone()
        for _ in range(2):
            clean = chunk()[0]
            decode(handed)
        play_chunk, play_decode = clock.captured(chunk), clock.captured(lambda: decode(handed))
        streams = torch.cuda.Stream(clock.device), torch.cuda.Stream(clock.device)
        return Times.of(
            [_one_try(play_chunk, play_decode, clean, handed, streams) for _ in range(max(1, clock.runs // _CHUNKS))]
        )


def _one_try(
    chunk: Callable[[], object],
    decode: Callable[[], object],
    clean: Tensor,
    handed: Tensor,
    streams: tuple[torch.cuda.Stream, torch.cuda.Stream],
) -> float:
    denoising, decoding = streams
    torch.cuda.synchronize(clean.device)
    decoded: list[torch.cuda.Event] = []
    for _ in range(_CHUNKS):
        with torch.cuda.stream(denoising):
            chunk()
            if decoded:  # the decode before reads what is handed over now
                denoising.wait_event(decoded[-1])
            handed.copy_(clean)
            ready = denoising.record_event()
        with torch.cuda.stream(decoding):
            decoding.wait_event(ready)
            decode()
            decoded.append(decoding.record_event(torch.cuda.Event(enable_timing=True)))
    torch.cuda.synchronize(clean.device)
    return float(decoded[0].elapsed_time(decoded[-1])) / (_CHUNKS - 1)
