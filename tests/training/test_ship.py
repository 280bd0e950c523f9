"""Shipping: a run's weights become the embedded student's, in half precision."""

from pathlib import Path

import pytest
import torch

from student import nano
from training.checkpoints import write_tensors
from training.networks import NETWORK, TEXT_ENCODER
from training.origin import OriginError, bind, digest
from training.ship import codec_made, ship


def test_the_embedded_student_loads_what_was_shipped(tmp_path: Path) -> None:
    trained = nano.build(seed=5)
    vae, stage = tmp_path / "vae.safetensors", tmp_path / "stage.safetensors"
    write_tensors(vae, trained.vae.vae.state_dict())
    write_tensors(
        stage,
        {NETWORK + name: tensor for name, tensor in trained.network.state_dict().items()}
        | {TEXT_ENCODER + name: tensor for name, tensor in trained.text_encoder.state_dict().items()},
    )
    ship(vae, stage, tmp_path / "shipped")
    loaded = nano.load(tmp_path / "shipped")
    for got, want in (
        (loaded.network, trained.network),
        (loaded.vae.vae, trained.vae.vae),
        (loaded.text_encoder, trained.text_encoder),
    ):
        for name, tensor in want.state_dict().items():
            assert torch.equal(got.state_dict()[name], tensor.half().float()), name


def test_a_stage_that_is_not_done_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dmd"):
        ship(tmp_path / "vae.safetensors", tmp_path / "dmd.safetensors", tmp_path / "shipped")


def test_a_codec_that_did_not_make_the_stages_latents_is_not_shipped_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, other = tmp_path / "made.safetensors", tmp_path / "other.safetensors"
    for vae in (made, other):
        vae.write_text(vae.name)
    bind(tmp_path / "dmd", {"codec": digest(made)})
    codec_made(made, tmp_path / "dmd")
    with pytest.raises(OriginError, match="codec was sha256:"):
        codec_made(other, tmp_path / "dmd")
    assert not capsys.readouterr().err
    codec_made(other, tmp_path / "older")
    assert "does not say which codec made its latents" in capsys.readouterr().err
