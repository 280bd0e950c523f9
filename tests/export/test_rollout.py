"""The reference rollout and the same plan over the graphs, with the cache in plain numpy slots, agree chunk by chunk.

The second is what an engine does: bind the contiguous prefix [0, S), let the clean pass write behind it, make the
plan's moves before the next pass. It shares the cache plan and the schedule with the rollout, and nothing else.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch

from contract.cache_plan import CacheState, PassPlan, Policy, Role, plan_chunk, plan_start, plan_switch
from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule, noise_counter
from contract.tensors import STUDENT, new_names, past_names
from student.rollout import LatentStream, philox_noise
from student.student import Student

SEED = 11
TOLERANCE = 1e-4
Array = npt.NDArray[np.float32]


class NumpyEngine:
    """One session over student.onnx: W slots for each layer in fixed memory, written in place."""

    def __init__(self, path: Path, geometry: StudentGeometry, text: Array) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._geometry = geometry
        self._text = text
        shape = (geometry.window_frames, geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
        # Not a number until written: a pass that reads a slot too early fails loudly.
        self._slots = {
            layer: tuple(np.full(shape, np.nan, np.float32) for _ in range(2)) for layer in range(geometry.num_layers)
        }

    def run(self, plan: PassPlan, latent: Array, timestep: int) -> Array:
        """One pass over latent [F, C, h, w]; returns its flow."""
        F, S = len(plan.positions), plan.attended
        for source, destination in plan.moves:
            for slots in self._slots.values():
                for memory in slots:
                    memory[destination] = memory[source]
        feed: dict[str, npt.NDArray[np.generic]] = {
            "latent": latent[None],
            "timestep": np.full((1, F), timestep, np.float32),
            "text_context": self._text,
            "position": np.array([plan.positions], np.int64),
            "past_position": np.array([plan.past_positions], np.int64).reshape(1, S),
        }
        names = ["flow"]
        for layer, slots in self._slots.items():
            for name, memory in zip(past_names(layer), slots, strict=True):
                feed[name] = memory[:S].reshape(1, -1, *memory.shape[2:])
            names += new_names(layer)
        flow, *new = self._session.run(names, feed)
        if plan.write_slot is not None:
            memories = (memory for slots in self._slots.values() for memory in slots)
            for memory, written in zip(memories, new, strict=True):
                memory[plan.write_slot : plan.write_slot + F] = written.reshape(F, *memory.shape[1:])
        return flow[0]

    def prefill(self, plan: PassPlan, latents: list[Array]) -> None:
        self.run(plan, np.stack(latents), 0)

    def chunk(self, state: CacheState) -> tuple[Array, CacheState]:
        """Sample and commit the next chunk: its clean latents and the state after it."""
        plan, schedule = plan_chunk(state), DenoisingSchedule()
        clean = np.zeros((self._geometry.chunk_frames, *self._geometry.latent_shape), np.float32)
        for step in schedule.denoising_passes():
            at = noise_counter(seed=SEED, segment=plan.segment, chunk=plan.chunk, pass_index=step.index)
            philox = np.random.Philox(key=np.array(at.key, np.uint64), counter=np.array(at.counter, np.uint64))
            noise = np.random.Generator(philox).standard_normal(clean.shape, dtype=np.float32)
            noisy = np.float32(step.keep) * clean + np.float32(step.noise_scale) * noise
            clean = noisy - np.float32(step.sigma) * self.run(plan.denoise, noisy, step.timestep)
        self.run(plan.commit, clean, schedule.clean_pass().timestep)
        return clean, plan.after


@pytest.fixture(scope="module")
def conditions(student: Student) -> dict[str, torch.Tensor]:
    geometry, random = student.geometry, torch.Generator().manual_seed(0)
    names = ("person", "garment", "other_garment", "last_frame")
    latents = torch.randn(len(names), 1, *geometry.latent_shape, generator=random)
    text = torch.randn(1, geometry.text_tokens, geometry.text_dim, generator=random)
    return dict(zip(names, latents, strict=True)) | {"text": text}


def _agree(stream: LatentStream, engine: NumpyEngine, chunks: int) -> None:
    for _ in range(chunks):
        state = stream.state
        with torch.no_grad():
            want = stream.chunk()[0].numpy()
        got, after = engine.chunk(state)
        assert after == stream.state
        np.testing.assert_allclose(got, want, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("when", ["filling", "full"])
def test_both_agree_past_a_full_window_and_across_a_switch(
    student: Student, repository: Path, conditions: Mapping[str, torch.Tensor], policy: Policy, when: str
) -> None:
    geometry = student.geometry
    stream = LatentStream(student.network, geometry, noise=philox_noise(SEED))
    engine = NumpyEngine(repository / STUDENT / "1" / "student.onnx", geometry, conditions["text"].numpy())
    stream.start(conditions["person"], conditions["garment"], conditions["text"])
    engine.prefill(plan_start(geometry).condition_pass, [conditions[name][0].numpy() for name in ("person", "garment")])

    fills = len(geometry.attended_lengths())
    _agree(stream, engine, 2 if when == "filling" else fills + 1)  # one chunk is staged and one has been moved
    assert bool(stream.state.staged) == (when == "full")

    plan = plan_switch(stream.state, policy)
    pictures = {Role.REFERENCE: conditions["last_frame"], Role.GARMENT: conditions["other_garment"]}
    stream.prefill(plan, pictures)
    engine.prefill(plan.condition_pass, [pictures[role][0].numpy() for role in plan.conditions])
    _agree(stream, engine, 3 if when == "full" else fills + 1)


class StutteringEngine(NumpyEngine):
    """Loses the answer of every pass and runs it again, as after a crash; what the first run wrote stays written."""

    def run(self, plan: PassPlan, latent: Array, timestep: int) -> Array:
        super().run(plan, latent, timestep)
        return super().run(plan, latent, timestep)


@pytest.mark.parametrize("policy", Policy)
def test_every_pass_may_be_run_twice(
    student: Student, repository: Path, conditions: Mapping[str, torch.Tensor], policy: Policy
) -> None:
    geometry = student.geometry
    path, text = repository / STUDENT / "1" / "student.onnx", conditions["text"].numpy()
    start = plan_start(geometry)
    chunks: list[list[Array]] = []
    for engine in (NumpyEngine(path, geometry, text), StutteringEngine(path, geometry, text)):
        engine.prefill(start.condition_pass, [conditions[name][0].numpy() for name in ("person", "garment")])
        state, made = start.after, []
        for number in range(len(geometry.attended_lengths()) + 4):
            if number == len(geometry.attended_lengths()) + 2:
                switch = plan_switch(state, policy)
                pictures = {Role.REFERENCE: conditions["last_frame"], Role.GARMENT: conditions["other_garment"]}
                engine.prefill(switch.condition_pass, [pictures[role][0].numpy() for role in switch.conditions])
                state = switch.after
            clean, state = engine.chunk(state)
            made.append(clean)
        chunks.append(made)
    for once, twice in zip(*chunks, strict=True):
        np.testing.assert_array_equal(twice, once)
