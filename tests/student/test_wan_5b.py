"""The 5B student at its full size, on the meta device: nothing is allocated."""

import math

import pytest

from contract.geometry import WAN_5B
from student import wan_5b
from student.student import Student
from student.wan import named_parameters


@pytest.fixture(scope="module")
def student() -> Student:
    return wan_5b.meta()


def _parameters(student: Student, part: str) -> int:
    return sum(p.numel() for name, p in named_parameters(student).items() if name.startswith(f"{part}."))


def test_it_has_as_many_parameters_as_the_published_networks(student: Student) -> None:
    assert _parameters(student, "network") == 4_999_787_712
    assert _parameters(student, "vae") == 704_688_668
    assert _parameters(student, "text_encoder") == 5_680_910_336


def test_no_parameter_takes_memory_and_every_buffer_is_real(student: Student) -> None:
    assert all(parameter.is_meta for parameter in named_parameters(student).values())
    modules = (student.network, student.vae, student.text_encoder)
    assert not any(buffer.is_meta for module in modules for buffer in module.buffers())


def test_its_geometry_is_the_contracts_with_the_decoders_caches(student: Student) -> None:
    caches = student.geometry.decoder_cache_shapes
    assert len(caches) == 32
    assert sum(map(math.prod, caches)) * 2 == 3_215_872_000  # bytes in bfloat16, a session
    assert {**student.geometry.to_json(), "decoder_cache_shapes": ()} == WAN_5B.to_json()
    assert (student.geometry.frame_height, student.geometry.frame_width) == wan_5b.DEFAULT_FRAME
    assert student.geometry.tokens_per_frame == 880


def test_other_frames_change_the_grid_only() -> None:
    small = wan_5b.geometry(480, 832)
    assert (small.latent_height, small.latent_width, small.tokens_per_frame) == (30, 52, 390)
    assert small.kv_slot_bytes == 2 * 30 * 390 * 3072 * 2
    with pytest.raises(ValueError, match="700x1280 is no multiple of 32x32"):
        wan_5b.geometry(1280, 700)


def test_latents_are_normalised_with_the_published_statistics(student: Student) -> None:
    assert student.vae.mean.flatten()[[0, 19, 47]].tolist() == pytest.approx([-0.2289, 0.5109, -0.0667])
    assert student.vae.std.flatten()[[0, 39, 47]].tolist() == pytest.approx([0.4765, 1.6887, 0.7744])
