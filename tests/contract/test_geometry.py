import json
from dataclasses import replace

import pytest

from contract.geometry import WAN_5B, StudentGeometry


def test_the_5b_sizes_are_the_papers() -> None:
    """Figures of the backbone: 704x1280, 880 tokens a latent frame, a window of 23, 324.4 MB of KV a latent frame."""
    assert (WAN_5B.frame_width, WAN_5B.frame_height) == (704, 1280)
    assert WAN_5B.tokens_per_frame == 880
    assert (WAN_5B.window_frames, WAN_5B.max_attended_frames, WAN_5B.head_dim) == (23, 20, 128)
    assert WAN_5B.kv_slot_bytes == 324_403_200
    assert WAN_5B.attended_lengths() == (2, 5, 8, 11, 14, 17, 20)


def test_the_first_latent_of_a_segment_stands_for_one_frame() -> None:
    assert WAN_5B.video_frames(first_chunk_of_segment=True) == 9
    assert WAN_5B.video_frames(first_chunk_of_segment=False) == 12


def test_a_geometry_survives_json() -> None:
    geometry = replace(WAN_5B, decoder_cache_shapes=((4, 2, 8, 6), (2, 2, 16, 12)))
    assert StudentGeometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 100}, "dim 100"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"latent_width": 43}, "no multiple of"),
        ({"sink_frames": 4}, "sink_frames 4"),
        ({"sink_frames": -3}, "sink_frames -3"),
        ({"recent_frames": 17}, "recent_frames 17"),
        ({"recent_frames": 3}, "recent_frames 3 must hold"),
        ({"cache_dtype": "int8"}, "cache_dtype"),
    ],
)
def test_impossible_sizes_are_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(WAN_5B, **change)  # type: ignore[arg-type]


def test_json_with_unknown_or_missing_fields_is_refused() -> None:
    data = WAN_5B.to_json()
    with pytest.raises(ValueError, match="unknown geometry fields: colour"):
        StudentGeometry.from_json({**data, "colour": 1})
    del data["dim"]
    with pytest.raises(ValueError, match=r"incomplete geometry.*dim"):
        StudentGeometry.from_json(data)
