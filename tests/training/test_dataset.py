"""Latent shards and the batches cut from them: functions of their seeds, with a gap behind the sink."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contract.geometry import CONDITION_FRAMES
from student.vae import StreamingVae
from training import dataset
from training.clips import StreamShape
from training.dataset import LatentData, write_shards
from training.draws import Share
from training.presets import TINY

CHUNKS, CHUNK_FRAMES = 2, 2
SHAPE = StreamShape(latents=8, size=(64, 64))


@pytest.fixture(scope="module")
def vae() -> StreamingVae:
    assert TINY.codec is not None
    torch.manual_seed(0)
    return StreamingVae(TINY.codec.network.build()).eval()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "STREAMS_PER_SHARD", 8)


@pytest.fixture(scope="module")
def folder(vae: StreamingVae, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latents")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "STREAMS_PER_SHARD", 8)
        for rank in (0, 1):
            write_shards(path, 2, vae=vae, seed=1, shape=SHAPE, share=Share(rank=rank, world=2))
    return path


def data(folder: Path, **changes: float) -> LatentData:
    values = {"shards": 2, "seed": 3, "batch": 6, "full_captions": 0.5} | changes
    return LatentData(folder, chunks=CHUNKS, chunk_frames=CHUNK_FRAMES, **values)  # type: ignore[arg-type]


def test_a_shard_is_a_function_of_its_seed_and_number(folder: Path, vae: StreamingVae, tmp_path: Path) -> None:
    write_shards(tmp_path, 1, vae=vae, seed=1, shape=SHAPE)
    with np.load(folder / "0000.npz") as first, np.load(tmp_path / "0000.npz") as again:
        assert set(first) == {"reference", "garment", "video", "captions"}
        for name in first:
            assert np.array_equal(first[name], again[name])


def test_only_missing_shards_are_written(folder: Path, vae: StreamingVae) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_shards(folder, 2, vae=vae, seed=1, shape=SHAPE)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_batch_is_a_function_of_seed_and_step(folder: Path) -> None:
    one, again, later = data(folder).draw(5), data(folder).draw(5), data(folder).draw(6)
    assert torch.equal(one.video, again.video)
    assert one.captions == again.captions
    assert not torch.equal(one.video, later.video)
    assert one.video.shape == (6, CHUNKS * CHUNK_FRAMES, *one.reference.shape[1:])
    assert one.conditions.shape[1] == CONDITION_FRAMES


def test_a_cut_is_the_first_chunk_and_chunks_that_follow_each_other(folder: Path) -> None:
    source = data(folder)
    with np.load(folder / "0000.npz") as one, np.load(folder / "0001.npz") as other:
        videos = torch.from_numpy(np.concatenate((one["video"], other["video"])).astype(np.float32))
    starts = set()
    for step in range(8):
        for cut in source.draw(step).video:
            stream = next(video for video in videos if torch.equal(video[:CHUNK_FRAMES], cut[:CHUNK_FRAMES]))
            (start,) = (at for at in range(2, 7) if torch.equal(stream[at : at + 2], cut[2:]))
            starts.add(start)
    assert starts == {2, 4, 6}


def test_captions_are_mixed_and_never_name_the_garment_unless_full(folder: Path) -> None:
    captions = [caption for step in range(20) for caption in data(folder, full_captions=0.0).draw(step).captions]
    assert all(caption.startswith(("She", "He")) for caption in captions)
    assert 0 < sum("phase" in caption for caption in captions) < len(captions)
    full = [caption for step in range(5) for caption in data(folder, full_captions=1.0).draw(step).captions]
    assert all(caption.startswith(("Woman", "Man")) for caption in full)


def test_a_missing_shard_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"0002\.npz"):
        data(folder, shards=3)
