"""Triplets become shards that training's dataset reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from curation.latents import LatentShape, digest, filled, padded, read_manifest, write_shards
from curation.triplets import triplets, write_manifest
from student.vae import StreamingVae
from tests.curation.conftest import Curated
from training.dataset import LatentData
from training.presets import TINY

SHAPE = LatentShape(size=(64, 32), rate=12, latents=9, caption="en_short")


@pytest.fixture(scope="module")
def vae() -> StreamingVae:
    assert TINY.codec is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StreamingVae(TINY.codec.network.build()).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def rows(curated: Curated) -> list[dict[str, Any]]:
    return read_manifest(write_manifest(curated.out, list(triplets(curated.store))[:2]))


def test_training_reads_what_was_written(
    curated: Curated, rows: list[dict[str, Any]], vae: StreamingVae, tmp_path: Path
) -> None:
    (path,) = write_shards(curated.out, rows, tmp_path, vae=vae, shape=SHAPE, made_by="x")
    data = LatentData(tmp_path, shards=1, seed=0, batch=4, chunks=2, chunk_frames=3, full_captions=1.0)
    assert len(data) == len(rows)
    batch = data.draw(0)
    assert batch.video.shape[:2] == (4, 6)
    assert batch.reference.shape == batch.garment.shape == batch.video[:, 0].shape
    shown = {f"{static} {dynamic}" for dynamic, static in (row["prompt"]["en_short"] for row in rows)}
    assert set(batch.captions) <= shown
    # Written again, nothing changes: not even the file.
    before = path.stat().st_mtime_ns
    write_shards(curated.out, rows, tmp_path, vae=vae, shape=SHAPE, made_by="x")
    assert path.stat().st_mtime_ns == before


def test_a_changed_manifest_is_written_anew(
    curated: Curated, rows: list[dict[str, Any]], vae: StreamingVae, tmp_path: Path
) -> None:
    (path,) = write_shards(curated.out, rows, tmp_path, vae=vae, shape=SHAPE, made_by="x")
    write_shards(curated.out, rows[1:], tmp_path, vae=vae, shape=SHAPE, made_by="x")
    with np.load(path) as arrays:
        assert len(arrays["video"]) == len(rows) - 1


def test_a_codec_that_was_trained_on_is_another_though_its_file_has_the_same_name_and_size(tmp_path: Path) -> None:
    file, found = tmp_path / "weights.safetensors", []
    for value in (0.0, 1.0):
        save_file({"a": torch.full((4,), value)}, file)
        found.append((file.stat().st_size, digest(file)))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_shards_that_were_not_made_here_are_left_alone(
    curated: Curated, rows: list[dict[str, Any]], vae: StreamingVae, tmp_path: Path
) -> None:
    for name in ("0000.npz", "0001.npz"):
        np.savez(tmp_path / name, video=np.zeros(3))
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    with pytest.raises(ValueError, match=r"holds 0000\.npz, 0001\.npz, not made here"):
        write_shards(curated.out, rows, tmp_path, vae=vae, shape=SHAPE, made_by="x")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before


def test_frames_are_taken_at_the_student_s_rate() -> None:
    shape = replace(SHAPE, rate=24, latents=3)
    row = {"frames": 100, "rate": 30.0}
    assert shape.places(row) == (0, 1, 2, 4, 5, 6, 8, 9, 10)
    assert shape.holds({"frames": 11, "rate": 30.0})
    assert not shape.holds({"frames": 10, "rate": 30.0})


def test_a_reference_is_cut_to_the_frame_and_a_garment_lies_on_white() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    assert not filled(wide, (20, 20)).any()
    on_white = padded(wide, (20, 20))
    assert on_white.shape == (20, 20, 3)
    assert (on_white[0] == 255).all()
    assert not on_white[10].any()
