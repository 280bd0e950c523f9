"""HGC-Bench: its layout, and metrics that open with their model or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from evaluation.hgc.bench import BenchError, read_bench
from evaluation.hgc.judges import NAMES, ModelMissing, open_judge
from evaluation.hgc.motion import amplitude, smoothness

CAPTION = {"en_short": ["She waves.", "A room; a green coat."], "en_long": ["", ""]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a_src.png", "a_cloth.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def row(prompt: Any) -> dict[str, Any]:
    return {"src_image": "a_src.png", "cloth_image": "a_cloth.png", "prompt": prompt}


@pytest.mark.parametrize("prompt", [CAPTION, {"caption": CAPTION}, json.dumps({"caption": CAPTION}), "a.json"])
def test_a_caption_may_be_json_in_the_table_or_beside_it(folder: Path, prompt: Any) -> None:
    bench = folder / "bench"
    bench.mkdir()
    for name in ("a_src.png", "a_cloth.png"):
        (folder / name).rename(bench / name)
    captions = bench / "captions"
    captions.mkdir()
    (captions / "a.json").write_text(json.dumps({"caption": CAPTION}))
    table = [row("captions/a.json" if prompt == "a.json" else prompt)]
    (bench / "bench.json").write_text(json.dumps(table))
    (sample,) = read_bench(bench)
    assert (sample.prompt, sample.description) == ("She waves.", "A room; a green coat.")


def test_a_csv_table_with_plain_text(folder: Path) -> None:
    with (folder / "bench.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["src_image", "cloth_image", "prompt"])
        writer.writeheader()
        writer.writerows([row("She turns,\nand waves."), row(json.dumps(CAPTION))])
    samples = read_bench(folder)
    assert [sample.prompt for sample in samples] == ["She turns,\nand waves.", "She waves."]
    assert len({sample.name for sample in samples}) == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([{"src_image": "a_src.png", "prompt": "x"}], "sample 1 lacks cloth_image"),
        ([row("x") | {"src_image": "b.png"}], "src_image .*b.png is no file"),
        ([row({"caption": {"en_long": ["x"]}})], "no 'en_short'"),
        ([row("{broken")], "no JSON"),
        ([], "no samples"),
    ],
)
def test_a_fault_is_named(folder: Path, table: list[Any], message: str) -> None:
    (folder / "bench.json").write_text(json.dumps(table))
    with pytest.raises(BenchError, match=message):
        read_bench(folder)


def test_a_folder_without_a_table_is_no_benchmark(folder: Path) -> None:
    with pytest.raises(BenchError, match="holds 0 tables"):
        read_bench(folder)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Amp"])
def test_a_metric_without_its_model_says_what_it_needs(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=f"{name} needs a folder with .*--model {name}=PATH"):
        open_judge(name, {})
    with pytest.raises(ModelMissing, match="nothing at"):
        open_judge(name, {name: tmp_path / "none"})


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="known: Amp, Cur"):
        open_judge("FID", {})


def test_the_amplitude_is_the_mean_flow() -> None:
    grey = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(96, 160)), 3)
    grey = ((grey - grey.min()) / np.ptp(grey) * 255).astype(np.uint8)
    still, moving = (
        [np.repeat(grey[:, at : at + 96, None], 3, axis=2) for at in places] for places in ([0] * 4, range(4))
    )
    assert amplitude(np.stack(still)) == pytest.approx(0, abs=1e-3)
    # One pixel a frame to the left, none downwards: half a pixel over both components.
    assert amplitude(moving) == pytest.approx(0.5, abs=0.08)


def test_smoothness_counts_both_sides_of_a_jump() -> None:
    video = np.zeros((10, 4, 4, 3), np.uint8)
    video[5:] = 200
    scores = smoothness(video, lambda windows: np.array([float(window[1].mean() > 100) for window in windows]))
    assert scores == pytest.approx(0.8)
    assert smoothness(video, lambda windows: np.zeros(len(windows))) == 1
