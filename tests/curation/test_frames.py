"""Frames out of real files, and files cut out of files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from curation.frames import Rgb, Undecodable, cut, sample

RATE = 10
GREYS = np.arange(60) * 4 * 23 % 240
"""Of frames: distinct, and neighbours far apart, as encoders leave small differences out."""


def write(file: Path, *, frames: int = 60, size: tuple[int, int] = (64, 48), times: list[int] | None = None) -> Path:
    """Each frame's grey tells its number; `times` in tenths of a second."""
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for place in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), GREYS[place], np.uint8), format="rgb24")
            frame.pts = times[place] if times else place
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file


def numbers(file: Path, count: int) -> list[int]:
    return [number(frame) for frame in sample(file, tuple(range(count)))]


def number(frame: Rgb) -> int:
    return int(np.abs(GREYS - frame.mean()).argmin())


def test_frames_are_those_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mp4")
    frames = sample(file, (0, 7, 59))
    assert [number(frame) for frame in frames] == [0, 7, 59]
    assert sample(file, (3,), long_side=16).shape == (1, 16, 12, 3)


def test_a_file_that_ends_too_soon_is_told(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="ends before frame 60"):
        sample(write(tmp_path / "a.mp4"), (0, 60))


def test_a_cut_holds_exactly_the_frames_of_its_span(tmp_path: Path) -> None:
    target = tmp_path / "cut.mp4"
    written, rate, width, height = cut(write(tmp_path / "a.mp4"), 2.0, 5.0, target)
    assert (written, rate, width, height) == (30, RATE, 48, 64)
    assert numbers(target, written) == list(range(20, 50))
    assert list(tmp_path.glob("*.partial")) == []


def test_where_the_rate_varies_the_mean_rate_is_kept_from_first_to_last(tmp_path: Path) -> None:
    # Frames 0 to 9 every tenth of a second, from then on every fifth.
    times = [*range(10), *range(10, 50, 2)]
    source = write(tmp_path / "a.mp4", frames=len(times), times=times)
    target = tmp_path / "cut.mp4"
    written, rate, _, _ = cut(source, 0.0, 4.8, target)
    assert written / rate == pytest.approx(4.8, abs=0.2)
    assert numbers(target, written)[0] == 0
    assert numbers(target, written)[-1] >= len(times) - 2
    assert numbers(target, written) == sorted(numbers(target, written))


def test_a_span_behind_the_end_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match=r"no frame from 7\.00"):
        cut(write(tmp_path / "a.mp4"), 7.0, 9.0, tmp_path / "cut.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "a.mp4")
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(Undecodable):
        sample(file, (0,))
