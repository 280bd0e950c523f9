"""Checkpoints: both namings, shards, and a clear word on what does not fit."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from contract.geometry import StudentGeometry
from student import checkpoint
from student.dit import CausalDiT, DiTConfig


def _diffusers_twin(geometry: StudentGeometry) -> WanTransformer3DModel:
    torch.manual_seed(3)
    twin = WanTransformer3DModel(
        patch_size=(1, geometry.patch_height, geometry.patch_width),
        num_attention_heads=geometry.num_heads,
        attention_head_dim=geometry.head_dim,
        in_channels=geometry.latent_channels,
        out_channels=geometry.latent_channels,
        text_dim=geometry.text_dim,
        freq_dim=geometry.freq_dim,
        ffn_dim=geometry.ffn_dim,
        num_layers=geometry.num_layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=64,
    ).eval()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.normal_(std=0.1)  # norms too: as ones they would not tell one norm from another
    return twin


def test_diffusers_names_load_and_compute_what_diffusers_computes(geometry: StudentGeometry, tmp_path: Path) -> None:
    twin = _diffusers_twin(geometry)
    save_file(twin.state_dict(), tmp_path / "model.safetensors")
    network = CausalDiT(DiTConfig.of(geometry)).eval()
    assert checkpoint.load(network, tmp_path).complete
    frames = 3
    latent = torch.randn(1, frames, *geometry.latent_shape)
    text = torch.randn(1, geometry.text_tokens, geometry.text_dim)
    timestep = torch.tensor([[0.0, 500.0, 937.0]])
    with torch.no_grad():
        got = network.attend_all(latent, timestep, text, torch.arange(frames)[None])
        want = twin(
            hidden_states=latent.transpose(1, 2),
            timestep=timestep.repeat_interleave(geometry.tokens_per_frame, dim=1),
            encoder_hidden_states=text,
        ).sample
    torch.testing.assert_close(got, want.transpose(1, 2), atol=2e-5, rtol=0)


def test_the_same_weights_under_either_naming_give_identical_outputs(geometry: StudentGeometry, tmp_path: Path) -> None:
    twin = _diffusers_twin(geometry)
    save_file(twin.state_dict(), tmp_path / "diffusers.safetensors")
    networks = [CausalDiT(DiTConfig.of(geometry)).eval() for _ in range(2)]
    checkpoint.load(networks[0], tmp_path / "diffusers.safetensors")
    save_file(networks[0].state_dict(), tmp_path / "original.safetensors")
    checkpoint.load(networks[1], tmp_path / "original.safetensors")
    namings = [set(load_file(tmp_path / f"{name}.safetensors")) for name in ("diffusers", "original")]
    assert len(namings[0]) == len(namings[1])
    assert namings[0] & namings[1] == {"patch_embedding.weight", "patch_embedding.bias"}
    latent = torch.randn(1, 3, *geometry.latent_shape)
    text = torch.randn(1, geometry.text_tokens, geometry.text_dim)
    timestep = torch.tensor([[0.0, 500.0, 937.0]])
    with torch.no_grad():
        outputs = [network.attend_all(latent, timestep, text, torch.arange(3)[None]) for network in networks]
    assert torch.equal(*outputs)


def test_original_names_load_from_shards_behind_an_index(
    network: CausalDiT, geometry: StudentGeometry, tmp_path: Path
) -> None:
    state = network.state_dict()
    names = sorted(state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in shards.items():
        save_file({key: state[key] for key in keys}, tmp_path / file)
    weight_map = {key: file for file, keys in shards.items() for key in keys}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    other = CausalDiT(DiTConfig.of(geometry))
    assert sorted(checkpoint.load(other, tmp_path).loaded) == names
    assert all(torch.equal(other.state_dict()[name], state[name]) for name in names)


def test_every_key_that_does_not_fit_is_named(network: CausalDiT, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    del state["head.head.bias"]
    state["blocks.0.modulation"] = torch.zeros(1, 6, 3)
    state["blocks.9.modulation"] = torch.zeros(1)
    save_file(state, tmp_path / "model.safetensors")
    other = CausalDiT(network.config)
    with pytest.raises(checkpoint.CheckpointError) as error:
        checkpoint.load(other, tmp_path / "model.safetensors")
    assert "1 missing: head.head.bias" in str(error.value)
    assert "1 unexpected: blocks.9.modulation" in str(error.value)
    assert "1 misshapen: blocks.0.modulation [1, 6, 3] (want [1, 6, 48])" in str(error.value)
    report = checkpoint.load(other, tmp_path / "model.safetensors", strict=False)
    assert not report.complete
    assert torch.equal(other.head.head.weight, network.head.head.weight)


def test_two_keys_for_one_tensor_are_refused(network: CausalDiT, tmp_path: Path) -> None:
    state = dict(network.state_dict())
    state["proj_out.bias"] = state["head.head.bias"].clone()
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(checkpoint.CheckpointError, match=r"two keys .* name head\.head\.bias"):
        checkpoint.load(CausalDiT(network.config), tmp_path)


def test_no_checkpoint_or_more_than_one_is_an_error(network: CausalDiT, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        checkpoint.load(network, tmp_path / "absent.safetensors")
    for name in ("a", "b"):
        save_file({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(FileNotFoundError, match="holds 2"):
        checkpoint.load(network, tmp_path)


def test_an_index_that_names_an_absent_shard_is_an_error(network: CausalDiT, tmp_path: Path) -> None:
    weight_map = {"head.head.bias": "absent.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        checkpoint.load(network, tmp_path)
