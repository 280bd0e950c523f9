"""Video files: frames out of them, and subclips cut from them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""[H, W, 3]."""
Frames = NDArray[np.uint8]
"""[n, H, W, 3]."""

_CRF = "16"
"""Of x264: hardly to be told from the source."""
_REMEMBERED = 16
"""Samples kept, as several models look at the same frames of a clip one after the other."""


class Undecodable(ValueError):
    """The file is no video, is damaged, or holds nothing of what was asked for."""


@lru_cache(maxsize=_REMEMBERED)
def sample(file: Path, places: tuple[int, ...], *, long_side: int | None = None) -> Frames:
    """The frames at ascending `places`, upright, no side longer than `long_side`; not to be written to.

    Raises:
        Undecodable: the file cannot be decoded, or ends before the last place.
    """
    wanted, found = set(places), []
    with opened(file) as container:
        for place, frame in enumerate(_decoded(container)):
            if place in wanted:
                found.append(_shrunk(_upright(frame), long_side))
            if place == places[-1]:
                break
    if len(found) < len(places):
        raise Undecodable(f"{file} ends before frame {places[len(found)]}")
    frames = np.stack(found)
    frames.setflags(write=False)
    return frames


def cut(source: Path, start_s: float, end_s: float, target: Path) -> tuple[int, float, int, int]:
    """Encode the frames of [start_s, end_s) as an MP4 (H.264, no sound) at the source's mean rate.

    Times count from the source's first frame, wherever its own clock starts.

    Returns:
        frames, rate, width, height of what was written. Where the source's rate varies, frames are repeated or left
        out; an odd last row or column is left out; where its size changes, frames take the first one's.

    Raises:
        Undecodable: the source cannot be decoded, or has no frame in the span.
    """
    partial, written = target.with_suffix(".partial"), 0
    with opened(source) as container, av.open(str(partial), "w", format="mp4") as out:
        stream = container.streams.video[0]
        clock_s = float((stream.start_time or 0) * (stream.time_base or 0))
        first_s, last_s = clock_s + start_s, clock_s + end_s
        rate = Fraction(stream.average_rate or 25).limit_denominator(1001)
        encoder = out.add_stream("libx264", rate=rate, options={"crf": _CRF, "preset": "veryfast"})
        encoder.pix_fmt = "yuv420p"
        container.seek(max(0, int(first_s * av.time_base)))
        for frame in _between(container, first_s, last_s, rate):
            picture = _upright(frame)
            height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
            if not written:
                encoder.width, encoder.height = width, height
            due = int((frame.time - first_s) * rate + Fraction(1, 2)) + 1
            while written < due:
                made = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
                made.pts, made.time_base = written, 1 / rate
                out.mux(encoder.encode(made))
                written += 1
        if written:
            out.mux(encoder.encode())
    if not written:
        partial.unlink(missing_ok=True)
        raise Undecodable(f"{source} has no frame from {start_s:.2f} to {end_s:.2f} s")
    partial.replace(target)
    return written, float(rate), encoder.width, encoder.height


def _between(
    container: av.container.InputContainer, start_s: float, end_s: float, rate: Fraction
) -> Iterator[av.VideoFrame]:
    """Frames within half a frame of the span; times in a file are rounded."""
    slack = 0.5 / float(rate)
    for frame in _decoded(container):
        if frame.time is None or frame.time < start_s - slack:
            continue
        if frame.time >= end_s - slack:
            return
        yield frame


def opened(file: Path) -> av.container.InputContainer:
    """
    Raises:
        Undecodable: the file is no video, or holds none.
    """
    try:
        container = av.open(str(file))
    except (av.FFmpegError, OSError) as error:
        raise Undecodable(f"{file} cannot be opened: {error}") from error
    if not container.streams.video:
        container.close()
        raise Undecodable(f"{file} holds no video")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _decoded(container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(video=0)
    except av.FFmpegError as error:
        raise Undecodable(f"{container.name} is damaged: {error}") from error


def _upright(frame: av.VideoFrame) -> Rgb:
    """[H, W, 3], turned as the file's display matrix says (phones store portraits lying)."""
    picture = frame.to_ndarray(format="rgb24")
    return np.rot90(picture, round(frame.rotation / 90) % 4)


def _shrunk(picture: Rgb, long_side: int | None) -> Rgb:
    scale = 1.0 if long_side is None else long_side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
