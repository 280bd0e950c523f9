"""Rewards: means over latents and chunks, what corruption does, a critic that learns to see it."""

import torch
from torch import Tensor

from student.vae import StreamingVae, VaeConfig
from training.draws import Draws
from training.reward import DecodedReward, by_chunk, by_latent, corrupted
from training.stage import Scene
from training.stages import reward_stage


def test_a_latents_reward_is_its_frames_mean_and_the_first_latent_is_one_frame() -> None:
    scores = torch.tensor([[7.0, 1, 2, 3, 4, 5, 5, 5, 9]])
    assert by_latent(scores, temporal_stride=4).tolist() == [[7.0, 2.5, 6.0]]


def test_a_chunks_reward_is_its_latents_mean() -> None:
    assert by_chunk(torch.tensor([[1.0, 3, 10, 20]]), 2).tolist() == [[2.0, 2, 15, 15]]


def test_a_scorer_of_frames_sees_every_decoded_frame() -> None:
    config = VaeConfig(
        base_dim=4, decoder_base_dim=4, z_dim=4, latents_mean=(0.0,) * 4, latents_std=(1.0,) * 4, num_res_blocks=1
    )
    vae = StreamingVae(config.build()).eval().requires_grad_(False)
    shown: list[Tensor] = []

    def scorer(frames: Tensor) -> Tensor:
        shown.append(frames)
        return torch.arange(len(frames), dtype=torch.float32)

    reward = DecodedReward(vae=vae, scorer=scorer)(torch.randn(2, 3, 4, 2, 2))
    assert [frames.shape for frames in shown] == [(9, 32, 32, 3)] * 2
    assert reward.tolist() == [[0.0, 2.5, 6.5]] * 2


def test_quality_falls_with_the_damage_and_clean_frames_are_untouched(scene: Scene) -> None:
    video = scene.source.draw(0).video
    damaged, quality = corrupted(video, Draws("corrupted", batch=len(video)))
    difference = (damaged - video).abs().amax(dim=(2, 3, 4))
    assert (difference[quality == 1] == 0).all()
    assert 0.3 < (quality == 1).float().mean() < 0.7
    assert (difference[quality < 0.5] > 0).float().mean() > 0.8
    assert ((quality >= 0) & (quality <= 1)).all()


def test_the_critic_learns_to_tell_noise_from_drawings(scene: Scene) -> None:
    stage = reward_stage(scene)
    for step in range(stage.steps):
        stage.step(step)
    critic = stage.parts["critic"].module
    video = scene.source.draw(1000).video
    noisy = video + torch.randn(video.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert critic(video).mean() > critic(noisy).mean() + 0.05
