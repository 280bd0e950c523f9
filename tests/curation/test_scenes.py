"""How scenes become subclips."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.clip import Span
from curation.config import Scenes
from curation.frames import Undecodable
from curation.scenes import find_scenes, subclips


def lengths(seconds: float) -> list[float]:
    scene = Span(start_s=2.0, end_s=2.0 + seconds)
    return [round(span.length_s, 3) for span in subclips(scene, shortest_s=3.0, longest_s=5.0)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(2.9, []), (3.0, [3.0]), (5.0, [5.0]), (5.5, [5.0]), (6.0, [3.0, 3.0]), (9.0, [4.5, 4.5]), (10.5, [3.5] * 3)],
)
def test_a_scene_is_shared_out_evenly(seconds: float, expected: list[float]) -> None:
    assert lengths(seconds) == expected


@given(st.floats(0.05, 600))
def test_every_subclip_is_long_enough_and_none_is_lost(seconds: float) -> None:
    found = lengths(seconds)
    assert all(2.999 <= length <= 5.001 for length in found)
    assert sum(found) <= seconds + 0.001 * len(found)
    # What is left over could not have been a subclip of its own, or added to one.
    assert seconds < 3 or sum(found) >= min(seconds, 5.0) - 0.001


def test_subclips_follow_each_other_without_a_gap() -> None:
    spans = subclips(Span(start_s=1.0, end_s=13.0), shortest_s=3.0, longest_s=5.0)
    assert [span.start_s for span in spans] == [1.0, 5.0, 9.0]
    assert [span.end_s for span in spans] == [5.0, 9.0, 13.0]


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_a_file_that_is_no_video_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(content)
    with pytest.raises(Undecodable, match=r"a\.mp4"):
        find_scenes(file, Scenes())


def test_a_file_of_sound_alone_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("aac", rate=44_100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44_100
        out.mux(stream.encode(silence))
        out.mux(stream.encode())
    with pytest.raises(Undecodable, match=r"a\.mp4 holds no video"):
        find_scenes(file, Scenes())
