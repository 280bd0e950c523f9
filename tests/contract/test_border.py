"""Arena layout, tensors, manifest."""

import itertools
import json
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from contract.arena_layout import ALIGNMENT, HEADER_BYTES, ArenaLayout
from contract.geometry import WAN_5B
from contract.schedule import DenoisingSchedule
from contract.tensors import MANIFEST_FILE, Executor, Manifest, Model, models, new_names, past_names

SMALL = replace(
    WAN_5B, name="small", dim=64, num_heads=2, num_layers=3, latent_height=4, latent_width=6, cache_dtype="float32",
    decoder_cache_shapes=((3, 2, 5, 7), (2, 2, 8, 8)),
)  # fmt: skip
LAYOUT = ArenaLayout(geometry=SMALL, blocks=3)


def test_parts_of_the_arena_are_aligned_and_never_overlap() -> None:
    slots = SMALL.window_frames * LAYOUT.slot_bytes
    parts = []
    for block in range(LAYOUT.blocks):
        for layer in range(SMALL.num_layers):
            parts += [(LAYOUT.key_offset(block, layer), slots), (LAYOUT.value_offset(block, layer), slots)]
        parts.append((LAYOUT.text_offset(block), SMALL.text_tokens * SMALL.text_dim * 4))
        for bank in (0, 1):
            sizes = [4 * prod(shape) for shape in SMALL.decoder_cache_shapes]
            parts += zip(LAYOUT.decoder_cache_offsets(block, bank), sizes, strict=True)
    parts.sort()
    assert parts[0][0] == HEADER_BYTES
    assert all(offset % ALIGNMENT == 0 for offset, _ in parts)
    assert all(offset + size <= following for (offset, size), (following, _) in itertools.pairwise(parts))
    assert parts[-1][0] + parts[-1][1] <= LAYOUT.total_bytes
    assert LAYOUT.block_offset(1) + LAYOUT.student_bytes == LAYOUT.decoder_cache_offsets(1, 0)[0]


def test_a_5b_block_holds_the_papers_window() -> None:
    assert ArenaLayout(geometry=WAN_5B, blocks=1).block_bytes == pytest.approx(7.46e9, rel=0.01)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LAYOUT.block_offset(3),
        lambda: LAYOUT.block_offset(-1),
        lambda: LAYOUT.key_offset(0, 3),
        lambda: LAYOUT.decoder_cache_offsets(0, 2),
        lambda: ArenaLayout(geometry=SMALL, blocks=0),
    ],
)
def test_places_outside_the_arena_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"not in \[0|at least one"):
        call()


def test_another_layout_has_another_digest() -> None:
    assert LAYOUT.digest() == ArenaLayout(geometry=SMALL, blocks=3).digest()
    assert LAYOUT.digest() != ArenaLayout(geometry=SMALL, blocks=4).digest()
    assert LAYOUT.digest() != ArenaLayout(geometry=replace(SMALL, sink_frames=0), blocks=3).digest()


def test_every_model_has_distinct_tensors_and_arena_models_their_own_probe_cell() -> None:
    served: tuple[Model, ...] = models(SMALL)
    assert {model.name for model in served} == {"student", "vae_decoder", "vae_encoder", "text_encoder"}
    for model in served:
        names = [tensor.name for tensor in (*model.inputs, *model.outputs)]
        assert len(names) == len(set(names))
    cells = [model.probe_cell for model in served if model.probe_cell is not None]
    assert len(cells) == len(set(cells)) == 2
    assert len({*past_names(0), *new_names(0), *past_names(1), *new_names(1)}) == 8


def test_a_manifest_survives_its_file(tmp_path: Path) -> None:
    manifest = Manifest(
        geometry=SMALL, schedule=DenoisingSchedule(), tokenizer="bytes", files={"a": "0" * 64}, made={"seed": 1}
    )
    for one in (manifest, replace(manifest, executor=Executor.TORCH)):
        (tmp_path / MANIFEST_FILE).write_text(json.dumps(one.to_json()))
        assert Manifest.read(tmp_path) == one


def test_a_foreign_or_incomplete_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="manifest version 7 is not 1"):
        Manifest.from_json({"version": 7})
    with pytest.raises(ValueError, match="lacks 'schedule'"):
        Manifest.from_json({"version": 1})
