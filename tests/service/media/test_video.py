"""Every chunk's frames come out in the same call, in each format, and H.264 can be joined at any chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.core.events import MediaFormat
from service.media.video import PART_BYTES, EncodedChunk, H264Encoder, open_encoder, split_parts

HEIGHT, WIDTH, FPS = 192, 128, 12
CHUNK_LENGTHS = (9, 12, 12, 9, 12)

Video = NDArray[np.uint8]


def film(first: int, count: int, height: int = HEIGHT, width: int = WIDTH) -> Video:
    """Smooth colour waves that move, so that each frame differs from all others."""
    t = np.arange(first, first + count)[:, None, None]
    y, x = np.arange(height)[None, :, None] / 30, np.arange(width)[None, None, :] / 20
    waves = (np.sin(x + t / 3) + 0 * y, np.sin(y + t / 5) + 0 * x, np.sin(x - y + t / 4))
    frames: Video = (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    return frames


def chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int, Video]]:
    """(sequence, first frame, frames) of each chunk."""
    first = 0
    for sequence, length in enumerate(lengths):
        yield sequence, first, film(first, length)
        first += length


def encode_all(media_format: MediaFormat, lengths: Sequence[int] = CHUNK_LENGTHS) -> list[EncodedChunk]:
    with closing(open_encoder(media_format, height=HEIGHT, width=WIDTH, frames_per_second=FPS)) as encoder:
        return [
            encoder.encode(frames, sequence=sequence, first_frame=first) for sequence, first, frames in chunks(lengths)
        ]


def decode(file: bytes) -> tuple[Video, list[Fraction]]:
    """Frames and presentation times in seconds."""
    with av.open(BytesIO(file), "r") as container:
        decoded = list(container.decode(video=0))
    times = [frame.pts * frame.time_base for frame in decoded if frame.pts is not None and frame.time_base is not None]
    return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded]), times


def psnr_db(left: Video, right: Video) -> float:
    """The worst frame's."""
    squared = (left.astype(float) - right.astype(float)) ** 2
    return float(10 * np.log10(255**2 / squared.mean(axis=(1, 2, 3)).max()))


@pytest.fixture(scope="module")
def h264() -> list[EncodedChunk]:
    return encode_all(MediaFormat.H264_FMP4)


@pytest.mark.parametrize("joined", range(len(CHUNK_LENGTHS)))
def test_h264_joined_at_any_chunk_plays_exactly_the_frames_from_there_on(h264: list[EncodedChunk], joined: int) -> None:
    decoded, times = decode(h264[joined].init_segment + b"".join(chunk.media for chunk in h264[joined:]))
    first, last = sum(CHUNK_LENGTHS[:joined]), sum(CHUNK_LENGTHS)
    assert times == [Fraction(frame, FPS) for frame in range(first, last)]
    assert psnr_db(decoded, film(first, last - first)) > 35


@pytest.mark.parametrize("newest", range(len(CHUNK_LENGTHS)))
def test_h264_holds_no_frame_back(h264: list[EncodedChunk], newest: int) -> None:
    decoded, _ = decode(h264[0].init_segment + b"".join(chunk.media for chunk in h264[: newest + 1]))
    assert len(decoded) == sum(CHUNK_LENGTHS[: newest + 1])


def test_h264_chunks_are_one_numbered_fragment_each_behind_one_init_segment(h264: list[EncodedChunk]) -> None:
    for number, chunk in enumerate(h264, start=1):
        assert chunk.init_segment == h264[0].init_segment
        assert chunk.frame_bytes == ()
        moof_bytes = int.from_bytes(chunk.media[:4])
        mdat_bytes = int.from_bytes(chunk.media[moof_bytes : moof_bytes + 4])
        assert (chunk.media[4:8], chunk.media[moof_bytes + 4 : moof_bytes + 8]) == (b"moof", b"mdat")
        assert moof_bytes + mdat_bytes == len(chunk.media)
        assert chunk.media[12:16] == b"mfhd"
        assert int.from_bytes(chunk.media[20:24]) == number


def test_only_the_first_frame_of_a_chunk_is_a_key_frame(h264: list[EncodedChunk]) -> None:
    with av.open(BytesIO(h264[0].init_segment + b"".join(chunk.media for chunk in h264)), "r") as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [frame == 0 for length in CHUNK_LENGTHS for frame in range(length)]


def test_a_cut_within_a_chunk_makes_no_key_frame_and_no_delay() -> None:
    frames = np.concatenate([film(0, 6), 255 - film(6, 6)])
    with closing(H264Encoder(HEIGHT, WIDTH, FPS)) as encoder:
        chunk = encoder.encode(frames, sequence=0, first_frame=0)
    with av.open(BytesIO(chunk.init_segment + chunk.media), "r") as container:
        assert [packet.is_keyframe for packet in container.demux(video=0) if packet.size] == [True] + [False] * 11
    decoded, _ = decode(chunk.init_segment + chunk.media)
    assert psnr_db(decoded, frames) > 35


def test_h264_is_tagged_and_converted_as_bt709_of_limited_range() -> None:
    red, green, blue = 200, 100, 50
    frames = np.tile(np.array((red, green, blue), np.uint8), (1, 32, 32, 1))
    with closing(H264Encoder(32, 32, FPS)) as encoder:
        chunk = encoder.encode(frames, sequence=0, first_frame=0)
    with av.open(BytesIO(chunk.init_segment + chunk.media), "r") as container:
        (frame,) = container.decode(video=0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    expected = (
        16 + 219 / 255 * luma,
        128 + 224 / 255 * (blue - luma) / 1.8556,
        128 + 224 / 255 * (red - luma) / 1.5748,
    )
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_range) == (Colorspace.ITU709, ColorRange.MPEG)
    for plane, value in zip(frame.planes, expected, strict=True):
        assert abs(bytes(plane)[0] - value) <= 1


def test_a_chunk_may_be_encoded_again() -> None:
    with closing(H264Encoder(HEIGHT, WIDTH, FPS)) as encoder:
        for _ in range(2):
            chunk = encoder.encode(film(9, 12), sequence=1, first_frame=9)
            decoded, times = decode(chunk.init_segment + chunk.media)
            assert times == [Fraction(frame, FPS) for frame in range(9, 21)]
            assert psnr_db(decoded, film(9, 12)) > 35


def test_another_encoder_may_go_on_where_one_stopped(h264: list[EncodedChunk]) -> None:
    with closing(H264Encoder(HEIGHT, WIDTH, FPS)) as successor:
        second = successor.encode(film(9, 12), sequence=1, first_frame=9)
    decoded, times = decode(h264[0].init_segment + h264[0].media + second.media)
    assert times == [Fraction(frame, FPS) for frame in range(21)]
    assert psnr_db(decoded, film(0, 21)) > 35


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), frames_per_second=st.sampled_from([8, 12, 24, 30]))
def test_h264_takes_chunks_of_any_length_at_any_rate(lengths: list[int], frames_per_second: int) -> None:
    media = b""
    first = 0
    with closing(H264Encoder(16, 16, frames_per_second)) as encoder:
        for sequence, length in enumerate(lengths):
            chunk = encoder.encode(film(first, length, 16, 16), sequence=sequence, first_frame=first)
            media += chunk.media
            first += length
    _, times = decode(chunk.init_segment + media)
    assert times == [Fraction(frame, frames_per_second) for frame in range(first)]


@pytest.mark.parametrize(("height", "width"), [(191, 128), (192, 127), (33, 33)])
def test_h264_refuses_odd_sides(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"even sides, got {width} x {height}"):
        open_encoder(MediaFormat.H264_FMP4, height=height, width=width, frames_per_second=FPS)


def test_jpeg_gives_one_file_a_frame() -> None:
    for (_, _, frames), chunk in zip(chunks(CHUNK_LENGTHS), encode_all(MediaFormat.JPEG), strict=True):
        assert chunk.init_segment == b""
        assert sum(chunk.frame_bytes) == len(chunk.media)
        ends = np.cumsum(chunk.frame_bytes)
        files = [chunk.media[end - size : end] for end, size in zip(ends, chunk.frame_bytes, strict=True)]
        decoded = np.stack([np.asarray(Image.open(BytesIO(file), formats=("JPEG",))) for file in files])
        assert psnr_db(decoded, frames) > 35


def test_jpeg_quality_trades_bytes() -> None:
    sizes = []
    for quality in (1, 50, 100):
        encoder = open_encoder(
            MediaFormat.JPEG, height=HEIGHT, width=WIDTH, frames_per_second=FPS, jpeg_quality=quality
        )
        sizes.append(len(encoder.encode(film(0, 1), sequence=0, first_frame=0).media))
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("quality", [-1, 0, 101])
def test_jpeg_quality_outside_1_to_100_is_refused(quality: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 100, got {quality}"):
        open_encoder(MediaFormat.JPEG, height=HEIGHT, width=WIDTH, frames_per_second=FPS, jpeg_quality=quality)


def test_raw_gives_the_frames_as_they_are() -> None:
    for (_, _, frames), chunk in zip(chunks(CHUNK_LENGTHS), encode_all(MediaFormat.RAW_RGB24), strict=True):
        assert chunk.init_segment == b""
        assert chunk.frame_bytes == (HEIGHT * WIDTH * 3,) * len(frames)
        np.testing.assert_array_equal(np.frombuffer(chunk.media, np.uint8).reshape(frames.shape), frames)


@pytest.mark.parametrize("media_format", list(MediaFormat))
def test_frames_need_not_be_contiguous_in_memory(media_format: MediaFormat) -> None:
    mirrored = film(0, 2)[:, :, ::-1]
    media = []
    for frames in (mirrored, np.ascontiguousarray(mirrored)):
        with closing(open_encoder(media_format, height=HEIGHT, width=WIDTH, frames_per_second=FPS)) as encoder:
            media.append(encoder.encode(frames, sequence=0, first_frame=0).media)
    assert media[0] == media[1]


@pytest.mark.parametrize("media_format", list(MediaFormat))
@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, HEIGHT, WIDTH, 3), np.uint8),
        np.zeros((1, WIDTH, HEIGHT, 3), np.uint8),
        np.zeros((1, HEIGHT, WIDTH, 4), np.uint8),
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        np.zeros((1, HEIGHT, WIDTH, 3), np.float32),
    ],
)
def test_frames_of_another_shape_or_type_are_refused(media_format: MediaFormat, frames: Video) -> None:
    with (
        closing(open_encoder(media_format, height=HEIGHT, width=WIDTH, frames_per_second=FPS)) as encoder,
        pytest.raises(ValueError, match="frames must be uint8"),
    ):
        encoder.encode(frames, sequence=0, first_frame=0)


@pytest.mark.parametrize("media_format", list(MediaFormat))
def test_an_encoder_may_be_closed_at_any_time_and_again(media_format: MediaFormat) -> None:
    for encoded in (0, 1):
        encoder = open_encoder(media_format, height=HEIGHT, width=WIDTH, frames_per_second=FPS)
        for sequence in range(encoded):
            encoder.encode(film(0, 9), sequence=sequence, first_frame=0)
        encoder.close()
        encoder.close()


@given(media=st.binary(max_size=100), part_bytes=st.integers(1, 40))
def test_parts_are_full_but_for_the_last_and_concatenate_to_the_whole(media: bytes, part_bytes: int) -> None:
    parts = split_parts(media, part_bytes=part_bytes)
    assert b"".join(parts) == media
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(0 < len(part) <= part_bytes for part in parts)


def test_parts_hold_at_most_256_kib() -> None:
    assert [len(part) for part in split_parts(bytes(PART_BYTES + 1))] == [256 * 1024, 1]
