"""Before anyone is served: every shape once, so that nobody waits for it, and what a chunk costs a full engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from contract.cache_plan import CacheState, ChunkPlan, PassPlan, Policy, plan_chunk, plan_start, plan_switch
from service.engine.base import DecodeRequest, Engine, Latents, PassRequest

_SESSIONS_AT_FULL_LOAD = 4
"""More at once make a chunk no cheaper: model instances are fewer, batches no larger."""


async def rehearse(engine: Engine) -> float:
    """Run a session until its window is full and a switch, then chunks of some sessions at once. Leaves blocks cleared.

    Blocks must be free. What their slots hold is of no concern: it changes no shape and no time.

    Returns:
        Seconds that a chunk with a full window, all its passes and its decoding, takes the engine under full load.

    Raises:
        EngineError: as its calls do.
    """
    geometry = engine.geometry
    blocks = range(min(engine.blocks, _SESSIONS_AT_FULL_LOAD))
    text = await engine.encode_text("")
    picture = np.zeros((geometry.frame_height, geometry.frame_width, 3), np.uint8)
    condition = await engine.encode_image(picture)
    latent = np.zeros((geometry.chunk_frames, *geometry.latent_shape), np.float32)

    start = plan_start(geometry)
    for block in blocks:
        conditions = np.repeat(condition, len(start.conditions), axis=0)
        await _pass(engine, block, start.condition_pass, conditions, text)
    chunk, state = await _until_full(engine, blocks[0], start.after, latent)
    await _pass(engine, blocks[0], plan_switch(state, Policy.REFRESH).condition_pass, condition, text)
    for read_bank in (None, 0):
        await _decode(engine, blocks[0], latent, read_bank=read_bank)
    seconds = await _full_load(engine, blocks, chunk, latent)
    for block in blocks:
        await engine.clear(block)
    return seconds


async def _until_full(engine: Engine, block: int, state: CacheState, latent: Latents) -> tuple[ChunkPlan, CacheState]:
    """Chunks of one denoising and one clean pass each; returns the last one's plan, and the state behind it."""
    for _ in range(len(engine.geometry.attended_lengths()) + 1):
        chunk = plan_chunk(state)
        await _pass(engine, block, chunk.denoise, latent)
        await _pass(engine, block, chunk.commit, latent)
        state = chunk.after
    return chunk, state


async def _full_load(engine: Engine, blocks: Iterable[int], chunk: ChunkPlan, latent: Latents) -> float:
    async def denoise(block: int) -> None:
        plan = chunk.denoise
        for _ in engine.schedule.denoising_passes():
            await _pass(engine, block, plan, latent)
            plan = replace(plan, moves=())  # slots move with the first
        await _pass(engine, block, chunk.commit, latent)

    blocks, began_s = tuple(blocks), time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:  # if one fails, the others end before the engine is closed
            for block in blocks:
                group.create_task(denoise(block))
                group.create_task(_decode(engine, block, latent, read_bank=0))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return (time.perf_counter() - began_s) / len(blocks)


async def _pass(
    engine: Engine, block: int, plan: PassPlan, latent: Latents, text_context: NDArray[np.float32] | None = None
) -> None:
    await engine.run_pass(PassRequest(block=block, plan=plan, latent=latent, timestep=0, text_context=text_context))


async def _decode(engine: Engine, block: int, latent: Latents, *, read_bank: int | None) -> None:
    write_bank = 0 if read_bank is None else 1 - read_bank
    await engine.decode(DecodeRequest(block=block, latent=latent, read_bank=read_bank, write_bank=write_bank))
