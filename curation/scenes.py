"""Where a video is cut: scenes by PySceneDetect, and subclips of them that are neither too short nor too long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from scenedetect import ContentDetector, SceneManager, VideoOpenFailure
from scenedetect.backends import VideoStreamAv

from curation.clip import Span
from curation.config import Scenes
from curation.frames import Undecodable, opened


def find_scenes(file: Path, config: Scenes) -> list[Span]:
    """The scenes between hard cuts, in order; a video without a cut is one scene.

    Raises:
        Undecodable: the file is no video, or holds none.
    """
    opened(file).close()  # of a file of sound alone PySceneDetect says no more than that an index is out of range
    manager = SceneManager()
    manager.add_detector(ContentDetector(threshold=config.threshold, min_scene_len=f"{config.shortest_scene_s}s"))
    try:
        # Without `suppress_output` it hands FFmpeg's log back to standard error, for the whole process.
        manager.detect_scenes(VideoStreamAv(str(file), suppress_output=True))
    except (VideoOpenFailure, OSError, ValueError) as error:
        raise Undecodable(f"{file} cannot be decoded: {error}") from error
    spans = [(start.seconds, end.seconds) for start, end in manager.get_scene_list(start_in_scene=True)]
    return [Span(start_s=start, end_s=end) for start, end in spans if end > start]


def subclips(scene: Span, *, shortest_s: float, longest_s: float) -> Sequence[Span]:
    """Equal parts of a scene, as few as possible; what no part can hold is left off at the end.

    A scene shorter than `shortest_s` has none.
    """
    # Lengths are multiples of a frame's, so that 5 s may read 5.0000001.
    parts = max(1, math.ceil(scene.length_s / longest_s - 1e-6))
    length_s = scene.length_s / parts
    if length_s < shortest_s - 1e-6:
        parts -= 1
        length_s = longest_s
    starts = (scene.start_s + part * length_s for part in range(parts))
    return [Span(start_s=start, end_s=start + length_s) for start in starts]
