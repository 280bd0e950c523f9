"""Clips on disk: what is read is what would be drawn, and codec and latents see the same whichever it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from student.vae import StreamingVae
from training import clips, dataset
from training.clips import Clips, StreamShape, draw_streams, write_clips
from training.dataset import write_shards
from training.draws import Share
from training.presets import TINY, CodecPhase
from training.vae import draw_batch

SHAPE = StreamShape(latents=3, size=(64, 64))
STREAMS = 4


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "STREAMS_PER_SHARD", STREAMS)
    monkeypatch.setattr(dataset, "STREAMS_PER_SHARD", STREAMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips")
    for shard in (0, 1):  # as a worker does it
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clips, "STREAMS_PER_SHARD", STREAMS)
            clips._write_shard(path, shard, seed=1, shape=SHAPE)
    return path


def test_what_is_read_is_what_is_drawn(folder: Path) -> None:
    read, drawn = Clips(folder, range(2)), draw_streams(1, 2, 2, seed=1, shape=SHAPE)
    assert len(read) == 2 * STREAMS
    for found in (read.streams(1, 2, 2), read.stream(STREAMS + 2)):
        assert np.array_equal(found.clip[0], drawn.clip[0])
        assert np.array_equal(found.reference[0], drawn.reference[0])
        assert np.array_equal(found.product[0], drawn.product[0])
        assert found.captions[0] == drawn.captions[0]


def test_processes_write_the_missing_shards_and_no_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}
    write_clips(folder, range(2), seed=1, shape=SHAPE, workers=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")} == before
    write_clips(folder, range(3), seed=1, shape=StreamShape(latents=1, size=(32, 32)), workers=1)
    assert "0002 1/1" in capsys.readouterr().out
    assert not list(folder.glob("*.partial"))


def test_latents_are_the_same_drawn_or_read(folder: Path, tmp_path: Path) -> None:
    assert TINY.codec is not None
    torch.manual_seed(0)
    vae = StreamingVae(TINY.codec.network.build()).eval()
    write_shards(tmp_path / "drawn", 1, vae=vae, seed=1, shape=SHAPE)
    write_shards(tmp_path / "read", 1, vae=vae, seed=1, shape=SHAPE, clips=Clips(folder, range(2)))
    with np.load(tmp_path / "drawn" / "0000.npz") as drawn, np.load(tmp_path / "read" / "0000.npz") as read:
        for name in drawn:
            assert np.array_equal(drawn[name], read[name])


def test_a_codecs_batch_is_cut_from_the_clips_by_seed_and_step(folder: Path) -> None:
    phase, read = CodecPhase(until=1, samples=3, frames=5, crop=(32, 32)), Clips(folder, range(2))

    def batch(step: int) -> torch.Tensor:
        made = draw_batch(phase, SHAPE.size, seed=5, step=step, share=Share(), clips=read).clips
        assert made is not None
        return made

    assert batch(0).shape == (3, 5, 32, 32, 3)
    assert batch(0).dtype == torch.uint8
    assert torch.equal(batch(0), batch(0))
    assert not torch.equal(batch(0), batch(1))


def test_a_missing_shard_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="0009"):
        Clips(folder, (0, 9))
