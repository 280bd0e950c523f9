"""Video encoding: a session's frames, chunk by chunk, as raw RGB, JPEG or H.264 in fragmented MP4.

A session has one encoder; its calls come one at a time, each on some thread. Whatever goes in comes out in the same
call: no encoder here holds frames back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from typing import Protocol

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from service.core.events import MediaFormat
from service.media.fmp4 import fragment, length_prefixed

Frames = NDArray[np.uint8]
"""[n, H, W, 3], RGB."""

PART_BYTES = 256 << 10

_TICKS_PER_FRAME = 1000
_X264_OPTIONS = {
    "preset": "veryfast",
    "tune": "zerolatency",  # no look-ahead, no B-frames: a packet for every frame, in order
    "crf": "18",
    "forced-idr": "1",
    "x264-params": "keyint=infinite:scenecut=0",  # key frames only where a chunk begins
}
_RGB_TO_YUV = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedChunk:
    """A chunk's media.

    Attributes:
        init_segment: what a decoder must read before any chunk; the same for all chunks, empty unless H264_FMP4.
        media: the chunk's bytes. H264_FMP4: one fragment.
        frame_bytes: the length of each frame in `media`; empty for H264_FMP4.
    """

    init_segment: bytes = field(default=b"", repr=False)
    media: bytes = field(repr=False)
    frame_bytes: tuple[int, ...] = ()


class ChunkEncoder(Protocol):
    """Encodes one session's chunks."""

    def encode(self, frames: Frames, *, sequence: int, first_frame: int) -> EncodedChunk:
        """Encode a chunk `[n, H, W, 3]`, n >= 1.

        Args:
            sequence: number of the chunk in the session, from 0.
            first_frame: number of its first frame in the session, from 0; gives the presentation times.

        Raises:
            ValueError: the frames are not of the encoder's size.
        """
        ...

    def close(self) -> None:
        """Free what the encoder holds; may be called again."""
        ...


def open_encoder(
    media_format: MediaFormat, *, height: int, width: int, frames_per_second: int, jpeg_quality: int = 90
) -> ChunkEncoder:
    """An encoder for frames `[height, width, 3]`.

    Raises:
        ValueError: H264_FMP4 with an odd side, or a JPEG quality outside 1 to 100.
    """
    match media_format:
        case MediaFormat.RAW_RGB24:
            return RawEncoder(height, width)
        case MediaFormat.JPEG:
            return JpegEncoder(height, width, jpeg_quality)
        case MediaFormat.H264_FMP4:
            return H264Encoder(height, width, frames_per_second)


class RawEncoder:
    """Rows from the top, no padding."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width, 3)

    def encode(self, frames: Frames, *, sequence: int, first_frame: int) -> EncodedChunk:
        _check_frames(frames, self._shape)
        return EncodedChunk(media=frames.tobytes(), frame_bytes=(frames[0].nbytes,) * len(frames))

    def close(self) -> None:
        pass


class JpegEncoder:
    """One baseline JPEG a frame, 4:2:0."""

    def __init__(self, height: int, width: int, quality: int) -> None:
        if not 1 <= quality <= 100:
            raise ValueError(f"JPEG quality must be 1 to 100, got {quality}")
        self._shape = (height, width, 3)
        self._quality = quality

    def encode(self, frames: Frames, *, sequence: int, first_frame: int) -> EncodedChunk:
        _check_frames(frames, self._shape)
        files = [self._encode_frame(frame) for frame in frames]
        return EncodedChunk(media=b"".join(files), frame_bytes=tuple(map(len, files)))

    def close(self) -> None:
        pass

    def _encode_frame(self, frame: NDArray[np.uint8]) -> bytes:
        file = BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=self._quality, subsampling="4:2:0")
        return file.getvalue()


class H264Encoder:
    """H.264 (yuv420p, BT.709, limited range); each chunk begins with an IDR frame and is one fragment.

    libavformat writes the init segment when the container opens; the fragments are ours (see fmp4.py).
    """

    def __init__(self, height: int, width: int, frames_per_second: int) -> None:
        if height % 2 or width % 2:
            raise ValueError(f"H.264 with 4:2:0 chroma needs even sides, got {width} x {height}")
        self._shape = (height, width, 3)
        self._frames_encoded = 0
        self._reformatter = VideoReformatter()
        init_segment = BytesIO()
        self._container = av.open(
            init_segment,
            "w",
            format="mp4",
            options={
                "movflags": "empty_moov+default_base_moof",
                "video_track_timescale": str(frames_per_second * _TICKS_PER_FRAME),
            },
        )
        self._stream = self._container.add_stream("libx264", rate=frames_per_second, options=dict(_X264_OPTIONS))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = Fraction(1, frames_per_second)
        codec.thread_count = 1  # many sessions share the machine; threads within a frame cost quality
        codec.color_range = ColorRange.MPEG
        codec.colorspace = Colorspace.ITU709
        codec.color_primaries = ColorPrimaries.BT709
        codec.color_trc = ColorTrc.BT709
        self._container.start_encoding()
        self._init_segment = init_segment.getvalue()

    def encode(self, frames: Frames, *, sequence: int, first_frame: int) -> EncodedChunk:
        _check_frames(frames, self._shape)
        samples = [self._encode_frame(frame, key=index == 0) for index, frame in enumerate(frames)]
        media = fragment(
            samples,
            sequence=sequence + 1,
            decode_time=first_frame * _TICKS_PER_FRAME,
            sample_duration=_TICKS_PER_FRAME,
        )
        return EncodedChunk(init_segment=self._init_segment, media=media)

    def close(self) -> None:
        self._container.close()

    def _encode_frame(self, rgb: NDArray[np.uint8], *, key: bool) -> bytes:
        frame = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(rgb), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=_RGB_TO_YUV,
        )
        # The encoder's own clock, so that a chunk may be encoded again; the fragment carries the session's.
        frame.pts = self._frames_encoded
        frame.time_base = self._stream.codec_context.time_base
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._frames_encoded += 1
        (packet,) = self._stream.encode(frame)
        assert packet.is_keyframe == key
        return length_prefixed(bytes(packet))


def split_parts(media: bytes, *, part_bytes: int = PART_BYTES) -> tuple[bytes, ...]:
    """`media` in pieces of at most `part_bytes`; none if it is empty."""
    return tuple(media[at : at + part_bytes] for at in range(0, len(media), part_bytes))


def _check_frames(frames: Frames, shape: tuple[int, int, int]) -> None:
    if frames.dtype != np.uint8 or frames.shape[1:] != shape or not len(frames):
        raise ValueError(
            f"frames must be uint8 [n >= 1, {', '.join(map(str, shape))}], got {frames.dtype} {frames.shape}"
        )
