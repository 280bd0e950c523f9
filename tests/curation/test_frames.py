"""Frames out of real files, and files cut out of files."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curation.config import Scenes
from curation.frames import Rgb, Undecodable, cut, sample
from curation.scenes import find_scenes

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


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_count_from_the_first_frame_wherever_the_files_clock_starts(tmp_path: Path, suffix: str) -> None:
    source, target = write(tmp_path / f"a{suffix}", times=list(range(17, 77))), tmp_path / "cut.mp4"
    (scene,) = find_scenes(source, Scenes(threshold=255.0))
    assert (scene.start_s, scene.end_s) == (0.0, 6.0)
    written, *_ = cut(source, 2.0, 5.0, target)
    assert numbers(target, written) == list(range(20, 50))


def test_a_picture_that_lies_is_turned_upright(tmp_path: Path) -> None:
    lying = np.zeros((48, 64, 3), np.uint8)
    lying[:24, :32] = 255
    file = tmp_path / "a.mp4"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(lying, format="rgb24")))
        out.mux(stream.encode())
    content = file.read_bytes()
    # The track's matrix (ISO/IEC 14496-12, 8.3.2), as a phone writes it: a quarter turn clockwise.
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    track = content.index(b"tkhd")
    file.write_bytes(content[:track] + content[track:].replace(straight, turned, 1))
    (upright,) = sample(file, (0,))
    assert upright.shape == (64, 48, 3)
    assert [int(part.mean()) > 127 for part in (upright[:32, :24], upright[:32, 24:], upright[32:])] == [
        False,
        True,
        False,
    ]


def test_where_the_size_changes_every_frame_has_the_size_that_is_told(tmp_path: Path) -> None:
    source, target = tmp_path / "a.webm", tmp_path / "cut.mp4"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libvpx", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = 64, 48, "yuv420p"
        small = av.CodecContext.create("libvpx", "w")
        small.height, small.width, small.pix_fmt, small.time_base = 32, 24, "yuv420p", Fraction(1, RATE)
        for place in range(40):
            encoder, size = (stream, (64, 48)) if place < 20 else (small, (32, 24))
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), GREYS[place], np.uint8), format="rgb24")
            frame.pts, frame.time_base = place, Fraction(1, RATE)
            packets = encoder.encode(frame) + (encoder.encode() if place in (19, 39) else [])
            for packet in packets:
                packet.stream = stream
                out.mux(packet)
    written, _, width, height = cut(source, 0.0, 4.0, target)
    assert (written, width, height) == (40, 48, 64)
    assert sample(target, (0, 39)).shape == (2, 64, 48, 3)


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
