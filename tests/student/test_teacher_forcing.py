"""The teacher-forcing mask: one masked pass over two copies of a clip is what causal generation computes."""

import pytest
import torch

from contract.cache_plan import PositionMode, plan_chunk
from contract.geometry import CONDITION_FRAMES, StudentGeometry
from contract.schedule import DenoisingSchedule
from student.dit import CausalDiT
from student.rollout import LatentStream
from student.teacher_forcing import frame_mask, token_mask


@pytest.mark.parametrize(("chunks", "chunk_frames"), [(1, 1), (2, 3), (4, 2)])
def test_every_entry_follows_from_what_a_frame_may_know(chunks: int, chunk_frames: int) -> None:
    frames = CONDITION_FRAMES + chunks * chunk_frames

    def chunk_of(frame: int) -> int:
        return (frame % frames - CONDITION_FRAMES) // chunk_frames if frame % frames >= CONDITION_FRAMES else -1

    def attends(row: int, column: int) -> bool:
        row_is_noisy, column_is_noisy = row >= frames, column >= frames
        if not row_is_noisy:
            return not column_is_noisy and chunk_of(column) <= chunk_of(row)
        if column_is_noisy:
            return chunk_of(column) == chunk_of(row)
        return chunk_of(column) < chunk_of(row)

    want = [[attends(row, column) for column in range(2 * frames)] for row in range(2 * frames)]
    assert frame_mask(chunks=chunks, chunk_frames=chunk_frames).tolist() == want


def test_every_token_of_a_frame_attends_what_its_frame_attends() -> None:
    frames = frame_mask(chunks=2, chunk_frames=3)
    tokens = token_mask(chunks=2, chunk_frames=3, tokens_per_frame=4)
    assert torch.equal(tokens.unflatten(0, (-1, 4)).unflatten(2, (-1, 4)).all(3).all(1), frames)
    assert tokens.sum() == 16 * frames.sum()


def test_a_noisy_chunk_under_the_mask_is_denoised_as_in_the_rollout(
    network: CausalDiT, geometry: StudentGeometry
) -> None:
    chunks, F = 3, geometry.chunk_frames
    random = torch.Generator().manual_seed(5)
    clean = torch.randn(1, CONDITION_FRAMES + chunks * F, *geometry.latent_shape, generator=random)
    noisy = torch.randn(clean.shape, generator=random)
    text = torch.randn(1, geometry.text_tokens, geometry.text_dim, generator=random)
    first_pass = DenoisingSchedule().denoising_passes()[0]  # its input is the noise and nothing else

    timestep = torch.zeros(1, 2 * clean.shape[1])
    timestep[:, clean.shape[1] + CONDITION_FRAMES :] = first_pass.timestep
    position = torch.arange(clean.shape[1]).repeat(2)[None]
    mask = token_mask(chunks=chunks, chunk_frames=F, tokens_per_frame=geometry.tokens_per_frame)
    both = network.attend_all(torch.cat((clean, noisy), dim=1), timestep, text, position, mask)
    masked = both[:, clean.shape[1] + CONDITION_FRAMES :]

    def noise(_: int, chunk: int, __: int, shape: tuple[int, ...]) -> torch.Tensor:
        return noisy[:, CONDITION_FRAMES + chunk * F :][:, :F].reshape(shape)

    stream = LatentStream(network, geometry, noise=noise, position_mode=PositionMode.ABSOLUTE)
    stream.start(clean[:, 0], clean[:, 1], text)
    for chunk, video in enumerate(clean[:, CONDITION_FRAMES:].split(F, dim=1)):
        plan = plan_chunk(stream.state)
        _, flow = stream.denoise(plan, first_pass, None)
        torch.testing.assert_close(flow, masked[:, chunk * F :][:, :F], atol=5e-6, rtol=0)
        stream.commit(plan, video)
