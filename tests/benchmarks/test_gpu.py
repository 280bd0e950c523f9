"""The GPU benchmark on a CPU, at tiny size: every row is there, or says why it is not."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from benchmarks import gpu, gpu_suite
from benchmarks.gpu_backbone import pass_cost
from benchmarks.gpu_clock import Clock, Times
from benchmarks.gpu_cost import Cost, Rates
from benchmarks.gpu_report import Report, Row, line
from benchmarks.gpu_subject import Subject
from contract.geometry import WAN_5B
from contract.schedule import DenoisingSchedule
from executors import torch_decoder
from executors.torch_student import compile_blocks
from student import nano
from student.text import TextConfig
from student.vae import VaeConfig, decoder_cache_shapes
from student.wan import WanSizes

_VAE = VaeConfig(
    base_dim=4, decoder_base_dim=4, z_dim=4, latents_mean=(0.0,) * 4, latents_std=(1.0,) * 4, dim_mult=(1, 2, 2),
    num_res_blocks=1, temperal_downsample=(True, True), patch_size=4,
)  # fmt: skip
_TEXT = TextConfig(vocabulary=300, dim=16, ffn_dim=16, num_heads=2, num_layers=1)
_TINY = replace(
    nano.GEOMETRY, name="tiny", dim=32, ffn_dim=32, num_heads=2, num_layers=2, freq_dim=16, text_dim=16, text_tokens=8,
    latent_channels=4, latent_height=4, latent_width=2,
    decoder_cache_shapes=decoder_cache_shapes(_VAE, latent_height=4, latent_width=2),
)  # fmt: skip


def subject(dtype: torch.dtype = torch.float32) -> Subject:
    return Subject(
        name="tiny",
        dtype=dtype,
        geometries={"32x64": _TINY},
        sizes=lambda geometry: WanSizes(geometry=geometry, vae=_VAE, text=_TEXT),
        schedule=DenoisingSchedule(),
    )


def report(path: Path | None = None, **options: object) -> Report:
    return Report(path=path, machine={"device": "a test"}, say=lambda _: None, **options)  # type: ignore[arg-type]


def test_every_part_has_a_row_with_its_scope_or_the_reason_why_not(tmp_path: Path) -> None:
    made = report(tmp_path / "gpu.json", budget_s=1e9)
    gpu.run(subject(), made, runs=1)
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    measured = {row["what"] for row in rows if row["median_ms"] is not None}
    assert measured >= {
        "text",
        "encode, one picture",
        "prefill, reference and garment",
        "denoising pass",
        "clean pass",
        "decode, one latent",
        "chunk, backbone alone (the paper's way)",
        "chunk and decode, one after the other",
        "switch: last frame encoded, prefill, first latents",
        "pass as trained",
    }
    passes = [row for row in rows if row["what"] == "denoising pass"]
    assert {row["window"] for row in passes} == {cached + 3 for cached in _TINY.attended_lengths()}
    assert {row["batch"] for row in passes} == {1, 2, 3, 4}
    assert all(row["floor_ms"] > 0 for row in passes)
    if not torch.cuda.is_available():
        assert any("no fp8 rows: fp8 needs a GPU" in note for note in made.notes)
        unmeasured = {row["what"]: row["note"] for row in rows if row["median_ms"] is None}
        assert unmeasured["chunk and decode, overlapped (end to end)"] == (
            "not measured: overlapping needs a GPU's streams"
        )
    made.show()


def test_rows_that_come_too_late_are_dropped_with_the_reason() -> None:
    seconds = itertools.count(0, 10)
    made = report(budget_s=60, clock=lambda: next(seconds))
    gpu.run(subject(), made, runs=1)
    assert made.rows[0].median_ms is not None
    assert made.rows[-1].median_ms is None
    assert made.rows[-1].note == "dropped: 60 s were spent"


def test_only_the_rows_that_are_asked_for_are_measured() -> None:
    made = report(budget_s=1e9)
    gpu.run(subject(), made, runs=1, only=re.compile("^text|batch [34]"))
    assert [(row.what, row.batch) for row in made.rows] == [("denoising pass", 3), ("denoising pass", 4), ("text", 1)]
    assert all(row.median_ms is not None for row in made.rows)


class GpuClock(Clock):
    """Takes the CPU for a GPU: what is captured has run twice before, and must not compile then."""

    def __init__(self, *compilers: CompileCounter) -> None:
        super().__init__(torch.device("cpu"), runs=1)
        self.on_gpu = True
        self._compilers = compilers

    def measure(self, work: Callable[[], object], *, graph: bool = True) -> Times:
        with torch.no_grad():
            work()
            work()
        if graph:
            self.captured(work)
        return Times.of([1.0])

    def captured(self, work: Callable[[], object]) -> Callable[[], object]:
        before = [compiler.frame_count for compiler in self._compilers]
        with torch.no_grad():
            work()
        assert before == [compiler.frame_count for compiler in self._compilers], "compiled while captured"
        return work

    def answers(self) -> bool:
        return True

    def reset_peak(self) -> None:
        pass

    def peak_gb(self) -> float | None:
        return None


def test_as_on_a_gpu_every_row_is_measured_and_the_decoder_compiles_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, decoder = CompileCounter(), CompileCounter()
    compiled = torch_decoder.compiled

    def one_behind_the_other(clock: Clock, chunk: Callable[[], Tensor], decode: Callable[[Tensor], object]) -> Times:
        with torch.no_grad():
            handed = chunk()[0].clone()
        return clock.measure(lambda: decode(handed))

    monkeypatch.setattr(gpu_suite, "compile_blocks", lambda network: compile_blocks(network, backend=blocks))
    monkeypatch.setattr(torch_decoder, "compiled", lambda vae: compiled(vae, backend=decoder))
    monkeypatch.setattr(gpu_suite, "fp8_missing", lambda device: None)
    monkeypatch.setattr(gpu_suite, "overlapped", one_behind_the_other)
    monkeypatch.setattr(gpu_suite, "measured_rates", lambda *_, **__: Rates(matrix=1.0, fp8_matrix=2.0, copy=1.0))
    only = re.compile(r"^\+ (compiled|fused)|^decode, one latent \(|^(chunk|prefill|switch).*window (2|5|14)\)")
    made = report(budget_s=1e9)
    gpu_suite.Suite(subject(torch.bfloat16), GpuClock(blocks, decoder), made, only=only).run()
    assert len(made.rows) == 3 + 2 * 7, "of these, the ladder's and the decoder's are not measured in fp8 again"
    assert [row.note for row in made.rows if row.median_ms is None] == []
    assert decoder.frame_count == 1, "whatever lends it its latents and caches"


def test_a_report_is_on_disk_after_every_row(tmp_path: Path) -> None:
    made = report(tmp_path / "new" / "gpu.json", budget_s=60)
    for count in (1, 2):
        made.add(Row(what="text", size="1x1", precision="fp8"))
        assert len(json.loads((tmp_path / "new" / "gpu.json").read_text())["rows"]) == count


def test_an_end_while_a_row_is_written_loses_none_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = report(tmp_path / "gpu.json", budget_s=60)
    made.add(Row(what="text", size="1x1", precision="fp8"))

    def cut_off(path: Path, text: str) -> int:
        path.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", cut_off)
    with pytest.raises(KeyboardInterrupt):
        made.add(Row(what="encode", size="1x1", precision="fp8"))
    assert len(json.loads((tmp_path / "gpu.json").read_bytes())["rows"]) == 1


def test_a_figure_is_never_shown_without_its_scope() -> None:
    row = Row(what="denoising pass", size="704x1280", precision="fp8", batch=2, window=23, median_ms=50, floor_ms=25)
    assert line(row) == "denoising pass (704x1280 fp8 batch 2, window 23): ms 50, floor ms 25, of floor 50%"
    assert "not measured" in line(replace(row, median_ms=None, floor_ms=None))


def test_a_pass_of_the_5b_student_costs_what_its_sizes_say() -> None:
    full = pass_cost(WAN_5B, batch=1, frames=3, cached=20, item_bytes=2)
    tokens, dim, layers = 3 * 880, 3072, 30
    linears = 2 * tokens * layers * (6 * dim**2 + 2 * dim * WAN_5B.ffn_dim)
    attention = 4 * tokens * (23 * 880 + 512) * dim * layers
    assert full.linear_flop == pytest.approx(linears, rel=0.01)
    assert full.other_flop == pytest.approx(attention, rel=0.01)
    assert full.bytes == pytest.approx(2 * 4.8e9 + 20 * WAN_5B.kv_slot_bytes, rel=0.05)


def test_a_floor_is_the_longer_of_computing_and_moving() -> None:
    rates = Rates(matrix=1e12, fp8_matrix=2e12, copy=1e9)
    cost = Cost(linear_flop=4e12, other_flop=1e12, bytes=1e9)
    assert rates.floor_ms(cost, fp8=False) == pytest.approx(5000)
    assert rates.floor_ms(cost, fp8=True) == pytest.approx(3000)
    assert rates.floor_ms(replace(cost, bytes=9e9), fp8=True) == pytest.approx(9000)


def test_without_a_gpu_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "nano_subject", subject)
    assert gpu.main(["--out", str(tmp_path / "gpu.json"), "--budget-s", "1"]) == 0
    assert capsys.readouterr().out.startswith("No GPU: what follows is the embedded student's shape on the CPU")
    assert json.loads((tmp_path / "gpu.json").read_text())["notes"][0].startswith("No GPU")
