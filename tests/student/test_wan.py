"""Checkpoints of Wan2.2-TI2V's kind, at a size that a test can write: every layout and naming, and wrong ones."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from student.checkpoint_files import CheckpointError
from student.student import Student
from student.text import TextConfig
from student.wan import WanFiles, WanSizes, named_parameters
from tests.student.wan_files import (
    T5_FILE,
    VAE_FILE,
    Tensors,
    dit,
    dit_for_diffusers,
    for_diffusers,
    released,
    save_shards,
)


@pytest.fixture(scope="module")
def sizes(geometry, vae_config) -> WanSizes:
    text = TextConfig(vocabulary=40, dim=geometry.text_dim, ffn_dim=16, num_heads=2, num_layers=2)
    return WanSizes(geometry=geometry, vae=vae_config, text=text)


@pytest.fixture(scope="module")
def student(sizes: WanSizes) -> Student:
    """What every checkpoint here is made of."""
    student = sizes.build(dtype=torch.float32, seed=1)
    draw = torch.Generator().manual_seed(2)
    for parameter in named_parameters(student).values():
        parameter.normal_(generator=draw)  # norms too: as ones they would not tell one from another
    return student


def _assert_same(loaded: Student, student: Student, *, atol: float = 0.0) -> None:
    want = named_parameters(student)
    assert list(named_parameters(loaded)) == list(want)
    for name, parameter in named_parameters(loaded).items():
        torch.testing.assert_close(parameter, want[name], atol=atol, rtol=0, msg=name)


def test_the_released_layout_loads(student: Student, sizes: WanSizes, tmp_path: Path) -> None:
    folder = released(student, tmp_path)
    loaded = sizes.load(folder, dtype=torch.float32)
    _assert_same(loaded, student, atol=0.02)  # its text encoder is in bfloat16
    assert torch.equal(loaded.network.head.head.weight, student.network.head.head.weight)
    assert WanFiles.find(folder).tokenizer == folder / "google/umt5-xxl/tokenizer.json"


def test_diffusers_layout_loads(student: Student, sizes: WanSizes, tmp_path: Path) -> None:
    folder = for_diffusers(student, tmp_path)
    _assert_same(sizes.load(folder, dtype=torch.float32), student)
    assert WanFiles.find(folder).tokenizer is None


def test_weights_take_the_type_asked_for_and_buffers_keep_theirs(
    student: Student, sizes: WanSizes, tmp_path: Path
) -> None:
    loaded = sizes.load(for_diffusers(student, tmp_path))
    assert {parameter.dtype for parameter in named_parameters(loaded).values()} == {torch.bfloat16}
    assert loaded.vae.mean.dtype == torch.float32
    assert torch.equal(loaded.vae.mean, student.vae.mean)
    assert loaded.text_encoder.encoder.shared.weight is loaded.text_encoder.encoder.encoder.embed_tokens.weight


@dataclass(frozen=True)
class FineTune:
    """How a training left its backbone."""

    name: str
    save: Callable[[Student, Path], object]


def _wrapped(tensors: Tensors, *, within: str = "") -> Tensors:
    return {f"model.{key.replace('blocks.0.', f'blocks.0.{within}')}": tensor for key, tensor in tensors.items()}


def _save_training(student: Student, path: Path) -> None:
    last = {key: torch.zeros_like(tensor) for key, tensor in _wrapped(dit(student)).items()}
    averaged = _wrapped(dit(student), within="_fsdp_wrapped_module.")
    torch.save({"generator": last, "critic": last, "generator_ema": averaged, "step": 7}, path)


FINE_TUNES = (
    FineTune("fine.safetensors", lambda student, path: save_file(dit(student), path)),
    FineTune("diffusers.safetensors", lambda student, path: save_file(dit_for_diffusers(student), path)),
    FineTune("wrapped.safetensors", lambda student, path: save_file(_wrapped(dit(student)), path)),
    FineTune("sharded", lambda student, path: save_shards(_wrapped(dit_for_diffusers(student)), path, "model")),
    FineTune("pipeline", lambda student, path: save_shards(dit_for_diffusers(student), path / "transformer", "m")),
    FineTune("training.pt", _save_training),
    FineTune("weights.pth", lambda student, path: torch.save(dit_for_diffusers(student), path)),
    FineTune("old.pth", lambda student, path: torch.save(dit(student), path, _use_new_zipfile_serialization=False)),
)


@pytest.fixture(scope="module")
def base(student: Student, sizes: WanSizes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with another backbone."""
    other = replace(student, network=sizes.build(dtype=torch.float32, seed=9).network)
    return for_diffusers(other, tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("fine_tune", FINE_TUNES, ids=lambda fine_tune: fine_tune.name)
def test_a_fine_tune_replaces_the_backbone(
    fine_tune: FineTune, student: Student, base: Path, sizes: WanSizes, tmp_path: Path
) -> None:
    path = tmp_path / fine_tune.name
    fine_tune.save(student, path)
    _assert_same(sizes.load(base, network=path, dtype=torch.float32), student)


def test_shards_without_an_index_are_counted_by_their_names(
    student: Student, base: Path, sizes: WanSizes, tmp_path: Path
) -> None:
    save_shards(dit(student), tmp_path, "model")
    (tmp_path / "model.safetensors.index.json").unlink()
    _assert_same(sizes.load(base, network=tmp_path, dtype=torch.float32), student)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="lacks shard 2 of 3"):
        sizes.load(base, network=tmp_path)


def test_every_network_that_does_not_fit_is_told_at_once(student: Student, sizes: WanSizes, tmp_path: Path) -> None:
    folder = for_diffusers(student, tmp_path)
    other = replace(sizes, geometry=replace(sizes.geometry, num_layers=4), text=replace(sizes.text, num_layers=1))
    with pytest.raises(CheckpointError) as error:
        other.load(folder)
    backbone, text_encoder = str(error.value).splitlines()
    assert backbone.startswith(f"{folder}/transformer: 69 tensors loaded; 54 missing: blocks.{{2-3}}.cross_attn.k.bias")
    assert text_encoder.startswith(f"{folder}/text_encoder: ")
    assert "10 unexpected: " in text_encoder
    assert "encoder.block.1.layer.0.SelfAttention.k.weight" in text_encoder


def test_a_width_that_differs_is_told_with_both_shapes(student: Student, sizes: WanSizes, tmp_path: Path) -> None:
    folder = for_diffusers(student, tmp_path)
    other = replace(sizes, geometry=replace(sizes.geometry, ffn_dim=80))
    with pytest.raises(CheckpointError) as error:
        other.load(folder)
    assert "6 misshapen: blocks.{0-1}.ffn." in str(error.value)
    assert "blocks.{0-1}.ffn.0.weight [64, 48] (want [80, 48])" in str(error.value)


def test_an_absent_file_of_a_converted_part_is_named(student: Student, sizes: WanSizes, tmp_path: Path) -> None:
    folder = for_diffusers(student, tmp_path)
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="vae holds 0 safetensors files"):
        sizes.load(folder)


@pytest.mark.parametrize("absent", [VAE_FILE, T5_FILE])
def test_an_absent_part_is_named(absent: str, student: Student, sizes: WanSizes, tmp_path: Path) -> None:
    (released(student, tmp_path) / absent).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {re.escape(str(tmp_path / absent))}"):
        sizes.load(tmp_path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2818839170\n")


def _web_page(path: Path) -> None:
    path.write_text("hello, please log in")


def _pickle_of_code(path: Path) -> None:
    torch.save({"a": re.compile("x")}, path)


@pytest.mark.parametrize(
    ("file", "spoil", "complaint"),
    [
        (VAE_FILE, _truncate, "Wan2.2_VAE.pth cannot be read"),
        (VAE_FILE, _lfs_pointer, "Wan2.2_VAE.pth is a pointer of Git LFS"),
        (VAE_FILE, _pickle_of_code, "Wan2.2_VAE.pth cannot be read: Weights only load failed"),
        (VAE_FILE, _web_page, "Wan2.2_VAE.pth cannot be read: no file of PyTorch's"),
        (T5_FILE, lambda path: path.write_bytes(b""), "enc-bf16.pth cannot be read: no file of PyTorch's"),
        (T5_FILE, lambda path: torch.save({"step": 3}, path), "holds no tensors by name.*: keys step"),
        (T5_FILE, lambda path: torch.save([torch.zeros(1)], path), "holds no tensors by name.*: list"),
        ("diffusion_pytorch_model-00002-of-00003.safetensors", _truncate, "00002-of-00003.safetensors cannot be read"),
        ("diffusion_pytorch_model-00002-of-00003.safetensors", _lfs_pointer, "is a pointer of Git LFS"),
        ("diffusion_pytorch_model.safetensors.index.json", lambda path: path.write_text("{}"), "no index of shards"),
        (
            "diffusion_pytorch_model.safetensors.index.json",
            lambda path: path.write_text('{"weight_map": ["a.safetensors"]}'),
            "no index of shards",
        ),
    ],
)
def test_a_damaged_file_is_told_from_one_that_does_not_fit(
    file: str, spoil: Callable[[Path], object], complaint: str, student: Student, sizes: WanSizes, tmp_path: Path
) -> None:
    spoil(released(student, tmp_path) / file)
    with pytest.raises(CheckpointError, match=complaint):
        sizes.load(tmp_path)


def test_a_key_in_two_shards_is_refused(student: Student, base: Path, sizes: WanSizes, tmp_path: Path) -> None:
    save_shards(dit(student), tmp_path, "model", count=1)
    (tmp_path / "model.safetensors.index.json").unlink()
    save_file(dit(student), tmp_path / "model-00001-of-00002.safetensors")
    save_file({"head.head.bias": torch.zeros(1)}, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "model-00001-of-00001.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"head\.head\.bias is in two shards"):
        sizes.load(base, network=tmp_path)


def test_sizes_that_do_not_fit_each_other_are_refused(sizes: WanSizes) -> None:
    with pytest.raises(ValueError, match="must be the VAE's and the text encoder's"):
        replace(sizes, text=replace(sizes.text, dim=14))


def test_random_weights_are_the_seeds_and_keep_activations_finite(sizes: WanSizes) -> None:
    one, again, other = (sizes.build(seed=seed) for seed in (1, 1, 2))
    weights = [student.network.blocks[0].ffn[0].weight for student in (one, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    with torch.no_grad():
        text = one.text_encoder(torch.ones(1, 5, dtype=torch.int64), torch.ones(1, 5, dtype=torch.int64))
        latent = one.vae.encode_image(torch.full((1, 64, 32, 3), 90, dtype=torch.uint8))[:, None]
        flow = one.network.attend_all(latent, torch.tensor([[1000.0]]), text, torch.zeros(1, 1, dtype=torch.int64))
    assert 0.01 < flow.std() < 100
