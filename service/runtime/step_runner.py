"""Runs the core's steps on the engine: passes over a session's latents, with the sampler's arithmetic, and decodes."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from functools import partial
from math import prod

import numpy as np

from contract.cache_plan import Role
from service.core.steps import Step, StepKind
from service.engine.base import DecodeRequest, Engine, PassRequest
from service.runtime.sampler import clean_estimate, pass_input
from service.runtime.session_data import SessionData, present

_ITEMS_ON_THE_LOOP = 1 << 14
"""A chunk of so few numbers is computed sooner than a thread is woken."""


class StepRunner:
    """Knows the engine and a session's arrays, and nothing of deadlines or order."""

    def __init__(self, engine: Engine, threads: Executor) -> None:
        self._engine, self._threads = engine, threads

    async def run(self, step: Step, data: SessionData) -> None:
        """Raises EngineError as the engine does; `data` is then as it was."""
        if step.kind is StepKind.DECODE:
            await self._decode(step, data)
        elif step.kind is StepKind.PREFILL:
            await self._prefill(step, data)
        else:
            await self._pass(step, data)

    async def _prefill(self, step: Step, data: SessionData) -> None:
        assert step.plan is not None
        latents = {Role.REFERENCE: data.reference, Role.GARMENT: data.garment}
        conditions = np.concatenate([present(latents[role]) for role in step.conditions])
        request = PassRequest(
            block=step.block, plan=step.plan, latent=conditions, timestep=0, text_context=present(data.text)
        )
        await self._engine.run_pass(request)

    async def _pass(self, step: Step, data: SessionData) -> None:
        assert step.plan is not None
        assert step.sigma_pass is not None
        shape = (self._engine.geometry.chunk_frames, *self._engine.geometry.latent_shape)
        make_input = partial(
            pass_input,
            step.sigma_pass,
            data.clean,
            seed=data.config.seed,
            segment=step.segment,
            chunk=step.chunk,
            shape=shape,
        )
        if prod(shape) <= _ITEMS_ON_THE_LOOP:
            noisy = make_input()
        else:
            noisy = await asyncio.get_running_loop().run_in_executor(self._threads, make_input)
        request = PassRequest(block=step.block, plan=step.plan, latent=noisy, timestep=step.sigma_pass.timestep)
        flow = await self._engine.run_pass(request)
        if step.kind is StepKind.DENOISE:
            data.clean = clean_estimate(step.sigma_pass, noisy, flow)
            if step.last:
                data.decoding[step.sequence] = data.clean

    async def _decode(self, step: Step, data: SessionData) -> None:
        frames = await self._engine.decode(
            DecodeRequest(
                block=step.block,
                latent=data.decoding[step.sequence],
                read_bank=step.read_bank,
                write_bank=step.write_bank,
            )
        )
        del data.decoding[step.sequence]
        data.frames[step.sequence] = frames
        data.last_frame = frames[-1]
