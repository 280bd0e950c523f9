"""The embedded student's graphs driven in one process: no client, no gRPC, no orchestrator, no Triton.

What any service over these graphs can reach at best on this machine: the same executors, the same plan, the same
overlap of decoding a chunk with denoising the next. Its frames are, bit for bit, what the service streams for the same
inputs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract import byte_tokenizer
from contract.arena_layout import ArenaLayout
from contract.cache_plan import PassPlan, plan_chunk, plan_start
from contract.tensors import STUDENT, TEXT_ENCODER, VAE_DECODER, VAE_ENCODER, Manifest
from executors.base import CallError, DecodeCall, PassCall
from executors.host_arena import HostArenas
from executors.onnx_decoder import OnnxDecoder
from executors.onnx_encoders import OnnxEncoder
from executors.onnx_student import OnnxStudent
from service.engine.arena import HostArena
from service.engine.base import Frames, Latents
from service.engine.tokenizer import padded
from service.runtime.sampler import clean_estimate, pass_input


class InProcess:
    """One session over the committed graphs."""

    def __init__(self, repository: Path, arena: HostArena, folder: Path) -> None:
        manifest = Manifest.read(repository)
        self._geometry, self._schedule = manifest.geometry, manifest.schedule
        self._arena = arena.name
        arenas = HostArenas(self._geometry, folder)
        self._student = OnnxStudent(repository / STUDENT / "1", self._geometry, probe_cell=0, arenas=arenas)
        self._decoder = OnnxDecoder(repository / VAE_DECODER / "1", self._geometry, probe_cell=1, arenas=arenas)
        self._image = OnnxEncoder(repository / VAE_ENCODER / "1" / f"{VAE_ENCODER}.onnx")
        self._text = OnnxEncoder(repository / TEXT_ENCODER / "1" / f"{TEXT_ENCODER}.onnx")

    def chunks(self, person: Frames, garment: Frames, prompt: str, *, seed: int, count: int) -> Iterator[Frames]:
        """The first `count` chunks' frames, [n, H, W, 3]; `person` and `garment` are [H, W, 3]."""
        tokens, mask = padded(byte_tokenizer.encode(prompt), self._geometry.text_tokens)
        (text,) = self._text.run([{"input_ids": tokens[None], "attention_mask": mask[None]}])
        conditions = np.concatenate(self._image.run([{"image": person[None]}, {"image": garment[None]}]))
        start = plan_start(self._geometry)
        self._run(start.condition_pass, conditions, 0, text_context=text[0])
        state, read_bank = start.after, None
        decoding: Future[Frames] | None = None
        with ThreadPoolExecutor(1) as decoder:
            for number in range(count):
                chunk = plan_chunk(state)
                clean = self._denoise(chunk.denoise, seed=seed, number=number)
                if decoding is not None:
                    yield decoding.result()
                write_bank = 0 if read_bank is None else 1 - read_bank
                decoding = decoder.submit(self._decode, clean, read_bank, write_bank)
                self._run(chunk.commit, clean, 0)
                state, read_bank = chunk.after, write_bank
            assert decoding is not None
            yield decoding.result()

    def _denoise(self, plan: PassPlan, *, seed: int, number: int) -> Latents:
        clean: Latents | None = None
        shape = (self._geometry.chunk_frames, *self._geometry.latent_shape)
        for sigma_pass in self._schedule.denoising_passes():
            noisy = pass_input(sigma_pass, clean, seed=seed, segment=0, chunk=number, shape=shape)
            clean = clean_estimate(sigma_pass, noisy, self._run(plan, noisy, sigma_pass.timestep))
        assert clean is not None
        return clean

    def _run(
        self, plan: PassPlan, latent: Latents, timestep: int, *, text_context: NDArray[np.float32] | None = None
    ) -> Latents:
        call = PassCall(
            arena=self._arena,
            block=0,
            latent=latent,
            timestep=np.full(len(latent), timestep, np.float32),
            position=np.array(plan.positions, np.int64),
            past_position=np.array(plan.past_positions, np.int64),
            moves=np.array(plan.moves, np.int32).reshape(-1, 2),
            write_slot=plan.write_slot,
            text_context=text_context,
        )
        (flow,) = self._student.run([call])
        if isinstance(flow, CallError):
            raise flow
        return flow

    def _decode(self, latent: Latents, read_bank: int | None, write_bank: int) -> Frames:
        return self._decoder.run(
            DecodeCall(arena=self._arena, block=0, latent=latent, read_bank=read_bank, write_bank=write_bank)
        )


@contextmanager
def in_process(repository: Path, kind: type[InProcess] = InProcess) -> Iterator[InProcess]:
    """Open the graphs over an arena of one block, in shared memory as the service's."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        layout = ArenaLayout(geometry=Manifest.read(repository).geometry, blocks=1)
        with HostArena(layout, folder=Path(folder)) as arena:
            yield kind(repository, arena, Path(folder))
