"""What every executor refuses, whatever computes."""

from __future__ import annotations

from contract.arena_layout import DECODER_BANKS, ArenaLayout
from contract.geometry import StudentGeometry
from executors.base import CallError, DecodeCall, PassCall


def check_block(layout: ArenaLayout, block: int) -> None:
    """Raises CallError if there is no such block."""
    if not 0 <= block < layout.blocks:
        raise CallError(f"block: {block} is not in [0, {layout.blocks})")


def check_pass(layout: ArenaLayout, call: PassCall) -> None:
    """Raises CallError if the pass names what is not there, or would overwrite what it reads."""
    geometry, frames, past = layout.geometry, len(call.latent), len(call.past_position)
    check_block(layout, call.block)
    if not 1 <= frames <= geometry.window_frames:
        raise CallError(f"latent: {frames} frames are not in [1, {geometry.window_frames}]")
    for name, given in (("timestep", call.timestep), ("position", call.position)):
        if given.shape != (frames,):
            raise CallError(f"{name}: shape {list(given.shape)} does not fit a latent of {frames} frames")
    if past > geometry.window_frames:
        raise CallError(f"past_position: {past} frames, and the window holds {geometry.window_frames}")
    if call.moves.size and not (call.moves.min() >= 0 and call.moves.max() < geometry.window_frames):
        raise CallError(f"move: a slot is not in [0, {geometry.window_frames})")
    if call.write_slot is not None:
        # Written slots behind the attended ones: the pass never overwrites what it reads, so it can be repeated.
        last = geometry.window_frames - frames
        if not past <= call.write_slot <= last:
            raise CallError(f"write_slot: {call.write_slot} is not in [{past}, {last}]")


def check_decode(layout: ArenaLayout, call: DecodeCall) -> None:
    """Raises CallError if the decode names what is not there, or would overwrite what it reads."""
    check_block(layout, call.block)
    if not len(call.latent):
        raise CallError("latent: no frames")
    for name, bank in (("read_bank", call.read_bank), ("write_bank", call.write_bank)):
        if bank is not None and not 0 <= bank < DECODER_BANKS:
            raise CallError(f"{name}: {bank} is not in [0, {DECODER_BANKS})")
    if call.read_bank == call.write_bank:
        raise CallError(f"write_bank: {call.write_bank} is the bank that is read")


def decoded_frames(geometry: StudentGeometry, call: DecodeCall) -> int:
    """Video frames that a decode gives: a segment's first latent stands for one, every other for a stride of them."""
    frames = len(call.latent) * geometry.vae_temporal_stride
    return frames if call.read_bank is not None else frames - (geometry.vae_temporal_stride - 1)
