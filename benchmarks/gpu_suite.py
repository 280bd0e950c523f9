"""The rows of the GPU benchmark, the most telling first: where time runs out, the later ones are dropped and say so."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.gpu_backbone import Backbone
from benchmarks.gpu_clock import Clock, Times
from benchmarks.gpu_cost import Cost, Rates, measured_rates
from benchmarks.gpu_networks import Networks
from benchmarks.gpu_overlap import overlapped
from benchmarks.gpu_report import Report, Row, title
from benchmarks.gpu_subject import Subject
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from executors.torch_fp8 import fp8_linears, fp8_missing
from executors.torch_student import compile_blocks
from service.core.degradation import MOST_LEFT_OUT
from student.inference import prepare

if TYPE_CHECKING:
    from executors.torch_decoder import Decode

BATCHES = (2, 3, 4)
_RESERVE_S = 15.0
"""No row begins with less time left."""
_FLOAT8 = "fp8"
_REASON_LENGTH = 300
_ATTENTION = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION)


class NotMeasured(Exception):
    """This machine cannot show it; says why."""


class DeviceLostError(Exception):
    """The device answers no more; what is measured is kept, and nothing follows."""


class Suite:
    """Measures a subject on a device into a report.

    Args:
        only: rows in whose title it finds something; None: all.
    """

    def __init__(self, subject: Subject, clock: Clock, report: Report, *, only: re.Pattern[str] | None = None) -> None:
        self._subject, self._clock, self._report, self._only = subject, clock, report, only
        self._precision = str(subject.dtype).removeprefix("torch.")
        self._fp8 = False
        self._schedule = subject.schedule
        self._made = Networks(subject, clock.device, optimised=clock.on_gpu)

    def run(self) -> None:
        try:
            self._run()
        except DeviceLostError as error:
            self._report.note(f"ended early, the device answers no more: {error}")

    def _run(self) -> None:
        if self._only is not None:
            self._report.note(f"Only rows that match {self._only.pattern!r}.")
        with self._kept_apart("rates"):
            self._report.rates = self.rates.to_json()
        main, *others = self._subject.geometries
        with self._kept_apart("ladder"):
            self._ladder(main)
        self._attention(main)
        missing = fp8_missing(self._clock.device)
        if missing:
            self._report.note(f"no fp8 rows: {missing}")
        for size in (main, *others):
            self._both(self._core, size, fp8=not missing)
        for size in (main, *others):
            self._both(self._degraded, size, fp8=not missing)
            self._both(self._fills, size, fp8=not missing)
            self._both(self._batches, size, fp8=not missing)
        with self._kept_apart("text"):
            self._text(main)

    def _both(self, group: Callable[[str], None], size: str, *, fp8: bool) -> None:
        """A group of rows, and with `fp8` another time with FP8 linears."""
        what = group.__name__.removeprefix("_")
        with self._kept_apart(f"{what}, {size}"):
            group(size)
        if fp8:
            with self._kept_apart(f"{what}, {size} in fp8"), self._in_fp8():
                group(size)

    @contextmanager
    def _kept_apart(self, what: str) -> Iterator[None]:
        """A group that cannot be set up is noted, and the next one follows."""
        try:
            yield
        except DeviceLostError:
            raise
        except Exception as error:
            self._report.note(f"no {what}: {self._reason(error)}")

    def _reason(self, error: Exception) -> str:
        """In one line; the rest goes to the error output. Raises DeviceLostError where nothing can follow."""
        traceback.print_exception(error)
        self._made.let_go()
        first = (str(error).strip() or "no message").splitlines()[0]
        reason = f"{type(error).__name__}: {first[:_REASON_LENGTH]}"
        if not self._clock.answers():
            raise DeviceLostError(reason) from error
        return reason

    # Groups of rows

    def _ladder(self, size: str) -> None:
        """What each of the things that make it fast is worth, one put on the other: a pass at a full window.

        Fusing comes behind compiling: not compiled, the split copies, which says nothing about what serves.
        """
        geometry, network = self._made.geometry(size), self._made.network
        scope = Row(what="", size=size, precision=self._precision, window=geometry.window_frames)
        steps: tuple[tuple[str, Callable[[], object], bool, bool], ...] = (
            ("pass as trained", lambda: None, False, False),
            ("+ the prompt's keys and values kept", lambda: None, True, False),
            ("+ table for times", lambda: prepare(network, self._schedule, fused=False), True, False),
            ("+ compiled", lambda: compile_blocks(network) if self._clock.on_gpu else None, True, False),
            ("+ fused queries, keys, values", lambda: prepare(network, self._schedule, tables=False), True, False),
            ("+ CUDA graph", lambda: None, True, True),
        )
        for what, change, kept, graph in steps:
            change()  # also where the row is dropped: what follows is measured with it
            needs_gpu = what in ("+ compiled", "+ CUDA graph")
            self._row(
                replace(scope, what=what),
                lambda kept=kept, graph=graph, needs_gpu=needs_gpu: self._pass_times(  # type: ignore[misc]
                    size, kept, graph, needs_gpu
                ),
                self._made.pass_cost(size, 1, geometry.chunk_frames, geometry.max_attended_frames),
            )

    def _attention(self, size: str) -> None:
        """One layer's at a full window, by each of the kernels that PyTorch chooses from."""
        geometry = self._made.geometry(size)
        scope = Row(what="", size=size, precision=self._precision, window=geometry.window_frames)
        for backend in _ATTENTION:
            what = f"one layer's attention, {backend.name.removesuffix('_ATTENTION')}"
            self._row(
                replace(scope, what=what),
                lambda backend=backend: self._attention_times(geometry, backend),  # type: ignore[misc]
                self._made.attention_cost(size),
            )

    def _core(self, size: str) -> None:
        geometry, precision = self._made.geometry(size), _FLOAT8 if self._fp8 else self._precision
        full, frames = geometry.max_attended_frames, geometry.chunk_frames
        scope = Row(what="", size=size, precision=precision)
        at_full = replace(scope, window=geometry.window_frames)
        one = self._made.pass_cost(size, 1, frames, full)
        backbone_cost = one * len(self._schedule.passes())

        def backbone() -> Backbone:
            return self._made.backbone(size, 1)

        video = geometry.video_frames(first_chunk_of_segment=False)
        self._measure(replace(at_full, what="denoising pass"), lambda: backbone().denoise(full), one)
        self._measure(
            replace(at_full, what="chunk, backbone alone (the paper's way)"),
            lambda: backbone().chunk(),
            backbone_cost,
            frames=video,
        )
        decode = self._made.decode_cost(size)
        if not self._fp8:  # the VAE is as it was
            self._row(
                replace(scope, what="decode, one latent, not compiled"),
                lambda: self._decode_times(size, self._made.vae.decode),
                decode,
            )
            self._row(
                replace(scope, what="decode, one latent"), lambda: self._decode_times(size, self._made.decode), decode
            )
        whole = None if decode is None else backbone_cost + decode * frames
        self._row(
            replace(at_full, what="chunk and decode, one after the other"),
            lambda: self._serial_times(size),
            whole,
            frames=video,
        )
        self._row(
            replace(at_full, what="chunk and decode, overlapped (end to end)"),
            lambda: self._overlapped_times(size, backbone().chunk),
            whole,
            frames=video,
        )
        self._measure(replace(at_full, what="clean pass"), lambda: backbone().clean_pass(full), one)
        self._measure(
            replace(scope, what="prefill, reference and garment", window=CONDITION_FRAMES),
            lambda: backbone().prefill(),
            self._made.pass_cost(size, 1, CONDITION_FRAMES, 0),
        )
        self._row(
            replace(scope, what="switch: last frame encoded, prefill, first latents", window=CONDITION_FRAMES + frames),
            lambda: self._switch_times(size),
            None,
        )
        if not self._fp8:
            self._row(
                replace(scope, what="encode, one picture"),
                lambda: self._encode_times(size),
                self._made.encode_cost(size),
            )

    def _degraded(self, size: str) -> None:
        """What fewer denoising passes, a shorter window and both give.

        Passes are what the service leaves out where it falls behind, at the most. A shorter window is another geometry:
        conditions, sink and half of the recent frames.
        """
        geometry = self._made.geometry(size)
        lengths, full = geometry.attended_lengths(), geometry.max_attended_frames
        half = lengths[len(lengths) // 2]
        for cached, left_out in ((half, 0), (full, MOST_LEFT_OUT), (half, MOST_LEFT_OUT)):
            self._chunks(size, cached, left_out)

    def _chunks(self, size: str, cached: int, left_out: int) -> None:
        geometry, precision = self._made.geometry(size), _FLOAT8 if self._fp8 else self._precision
        frames, video = geometry.chunk_frames, geometry.video_frames(first_chunk_of_segment=False)
        scope = Row(what="", size=size, precision=precision, window=cached + frames)
        passes = len(self._schedule.passes()) - left_out
        backbone_cost = self._made.pass_cost(size, 1, frames, cached) * passes
        decode = self._made.decode_cost(size)
        fewer = f", {left_out} passes left out" if left_out else ""

        def chunk() -> torch.Tensor:
            return self._made.backbone(size, 1).chunk(cached, left_out=left_out)

        self._measure(
            replace(scope, what=f"chunk, backbone alone (the paper's way){fewer}"), chunk, backbone_cost, frames=video
        )
        self._row(
            replace(scope, what=f"chunk and decode, overlapped (end to end){fewer}"),
            lambda: self._overlapped_times(size, chunk),
            None if decode is None else backbone_cost + decode * frames,
            frames=video,
        )

    def _fills(self, size: str) -> None:
        geometry, precision = self._made.geometry(size), _FLOAT8 if self._fp8 else self._precision
        for cached in geometry.attended_lengths()[:-1]:
            self._measure(
                Row(what="denoising pass", size=size, precision=precision, window=cached + geometry.chunk_frames),
                lambda cached=cached: self._made.backbone(size, 1).denoise(cached),  # type: ignore[misc]
                self._made.pass_cost(size, 1, geometry.chunk_frames, cached),
            )

    def _batches(self, size: str) -> None:
        geometry, precision = self._made.geometry(size), _FLOAT8 if self._fp8 else self._precision
        full, frames = geometry.max_attended_frames, geometry.chunk_frames
        for batch in BATCHES:
            self._measure(
                Row(what="denoising pass", size=size, precision=precision, batch=batch, window=geometry.window_frames),
                lambda batch=batch: self._made.backbone(size, batch).denoise(full),  # type: ignore[misc]
                self._made.pass_cost(size, batch, frames, full),
            )

    def _text(self, size: str) -> None:
        """The last: its encoder's weights, larger than the student's, would be in every later row's peak."""
        geometry = self._made.geometry(size)
        self._made.let_go()  # room for the text encoder
        tokens = torch.zeros(1, geometry.text_tokens, dtype=torch.int64, device=self._clock.device)
        self._row(
            Row(what="text", size=size, precision=self._precision),
            lambda: self._clock.measure(lambda: self._made.text(tokens, torch.ones_like(tokens)), graph=False),
            None,
        )

    # One row

    def _measure(self, scope: Row, work: Callable[[], object], cost: Cost | None, *, frames: int | None = None) -> None:
        self._row(scope, lambda: self._clock.measure(work), cost, frames=frames)

    def _row(self, scope: Row, measure: Callable[[], Times], cost: Cost | None, *, frames: int | None = None) -> None:
        """Measure and report, or report why not.

        Args:
            frames: of video that one run stands for.
        """
        if self._only is not None and not self._only.search(title(scope)):
            return
        if self._report.left_s < _RESERVE_S:
            self._report.add(replace(scope, note=f"dropped: {self._report.budget_s:.0f} s were spent"))
            return
        self._clock.reset_peak()
        try:
            times = measure()
        except (ImportError, NotMeasured) as error:
            self._report.add(replace(scope, note=f"not measured: {error}"))
            return
        except torch.cuda.OutOfMemoryError:
            self._made.let_go()
            self._report.add(replace(scope, note="not measured: out of memory"))
            return
        except Exception as error:  # a driver's, a compiler's: the next row may still be had
            try:
                reason = self._reason(error)
            except DeviceLostError as lost:
                self._report.add(replace(scope, note=f"not measured: {lost}"))
                raise
            self._report.add(replace(scope, note=f"not measured: {reason}"))
            return
        self._report.add(
            replace(
                scope,
                runs=times.runs,
                median_ms=times.median_ms,
                least_ms=times.least_ms,
                most_ms=times.most_ms,
                floor_ms=None if cost is None or not self._report.rates else self.rates.floor_ms(cost, fp8=self._fp8),
                fps=None if frames is None else 1000 * frames / times.median_ms,
                peak_gb=self._clock.peak_gb(),
            )
        )

    # What is measured

    def _pass_times(self, size: str, kept: bool, graph: bool, needs_gpu: bool) -> Times:
        if needs_gpu and not self._clock.on_gpu:
            raise NotMeasured("needs a GPU")
        backbone = self._made.backbone(size, 1)
        timestep = self._schedule.passes()[0].timestep
        return self._clock.measure(
            lambda: backbone.one_pass(backbone.chunk_latent, backbone.full, timestep=timestep, prompt_cached=kept),
            graph=graph,
        )

    def _attention_times(self, geometry: StudentGeometry, backend: SDPBackend) -> Times:
        if not self._clock.on_gpu:
            raise NotMeasured("needs a GPU")

        def heads(frames: int) -> torch.Tensor:
            shape = (1, frames * geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
            return torch.randn(shape, device=self._clock.device, dtype=self._subject.dtype).transpose(1, 2)

        q, k, v = heads(geometry.chunk_frames), heads(geometry.window_frames), heads(geometry.window_frames)
        chosen = SDPBackend(torch._fused_sdp_choice(q, k, v))
        if chosen == backend:
            self._report.note(f"PyTorch itself chooses {chosen.name}")
        with sdpa_kernel(backend):
            return self._clock.measure(lambda: F.scaled_dot_product_attention(q, k, v))

    def _decode_times(self, size: str, decode: Decode) -> Times:
        latent, caches = self._made.decoder_inputs(size)
        return self._clock.measure(lambda: decode(latent, caches))

    def _decode_chunk(self, size: str) -> Callable[[torch.Tensor], object]:
        """Decodes a chunk's latents [F, C, h, w], as the executor does it."""
        (_, read), (_, written) = self._made.decoder_inputs(size), self._made.decoder_inputs(size)
        decode_latent = self._made.decode

        def decode(latents: torch.Tensor) -> object:
            caches, shown = read, []
            for latent in latents:
                frames, new_caches = decode_latent(latent[None], caches)
                shown.append(frames)
                for target, new in zip(written, new_caches, strict=True):
                    target.copy_(new)
                caches = written
            return shown

        return decode

    def _serial_times(self, size: str) -> Times:
        backbone, decode = self._made.backbone(size, 1), self._decode_chunk(size)
        return self._clock.measure(lambda: decode(backbone.chunk()[0]))

    def _overlapped_times(self, size: str, chunk: Callable[[], torch.Tensor]) -> Times:
        if not self._clock.on_gpu:
            raise NotMeasured("overlapping needs a GPU's streams")
        return overlapped(self._clock, chunk, self._decode_chunk(size))

    def _switch_times(self, size: str) -> Times:
        backbone, vae, frame = self._made.backbone(size, 1), self._made.vae, self._made.picture(size)

        def switch() -> object:
            backbone.latent[:, :1] = vae.encode_image(frame)
            backbone.prefill()
            return backbone.denoise_chunk(CONDITION_FRAMES)

        return self._clock.measure(switch)

    def _encode_times(self, size: str) -> Times:
        vae, frame = self._made.vae, self._made.picture(size)
        return self._clock.measure(lambda: vae.encode_image(frame))

    # What it takes

    @cached_property
    def rates(self) -> Rates:
        missing = fp8_missing(self._clock.device)
        width, copied = (8192, 1 << 31) if self._clock.on_gpu else (512, 1 << 24)
        return measured_rates(self._clock, self._subject.dtype, fp8=missing is None, width=width, copied=copied)

    @contextmanager
    def _in_fp8(self) -> Iterator[None]:
        with fp8_linears(self._made.network):
            self._fp8 = True
            try:
                yield
            finally:
                self._fp8 = False
