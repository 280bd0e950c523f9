"""Writers of checkpoints in the layouts and namings in which Wan2.2-TI2V-5B and its fine-tunes come."""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from student.student import Student

Tensors = dict[str, Tensor]
T5_FILE, VAE_FILE = "models_t5_umt5-xxl-enc-bf16.pth", "Wan2.2_VAE.pth"


def dit(student: Student) -> Tensors:
    return dict(student.network.state_dict())


def dit_for_diffusers(student: Student) -> Tensors:
    """Renamed after diffusers' own conversion script, which swaps `norm2` and `norm3`."""
    names = (
        ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
        ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
        ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
        ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
        ("time_projection.1", "condition_embedder.time_proj"),
        ("head.modulation", "scale_shift_table"),
        ("head.head", "proj_out"),
        ("modulation", "scale_shift_table"),
        ("ffn.0", "ffn.net.0.proj"),
        ("ffn.2", "ffn.net.2"),
        ("norm3", "norm2"),
        ("self_attn.", "attn1."),
        ("cross_attn.", "attn2."),
        (".q.", ".to_q."),
        (".k.", ".to_k."),
        (".v.", ".to_v."),
        (".o.", ".to_out.0."),
    )
    renamed = {}
    for key, tensor in dit(student).items():
        for ours, theirs in names:
            key = key.replace(ours, theirs)
        renamed[key] = tensor
    return renamed


def _vae(student: Student) -> Tensors:
    return dict(student.vae.vae.state_dict())


def _vae_as_released(student: Student) -> Tensors:
    """The release's modules are nested nn.Sequential, in which a resampling layer follows its residual blocks."""
    blocks = {
        "encoder": ("down_blocks", "downsampler", "downsamples", 2),
        "decoder": ("up_blocks", "upsampler", "upsamples", 3),
    }
    layers = {
        "norm1": "residual.0",
        "conv1": "residual.2",
        "norm2": "residual.3",
        "conv2": "residual.6",
        "conv_shortcut": "shortcut",
    }
    ends = {"conv_in": "conv1", "norm_out": "head.0", "conv_out": "head.2"}
    middle = {"resnets.0": "middle.0", "attentions.0": "middle.1", "resnets.1": "middle.2"}
    renamed = {}
    for key, tensor in _vae(student).items():
        part, *rest = key.split(".")
        if part in ("quant_conv", "post_quant_conv"):
            name = ".".join(({"quant_conv": "conv1", "post_quant_conv": "conv2"}[part], *rest))
        elif rest[0] in ends:
            name = ".".join((part, ends[rest[0]], *rest[1:]))
        else:
            ours, resampler, theirs, residual_blocks = blocks[part]
            if rest[0] == "mid_block":
                name = ".".join((part, middle[f"{rest[1]}.{rest[2]}"], *rest[3:]))
            elif rest[2] == resampler:
                name = ".".join((part, theirs, rest[1], theirs, str(residual_blocks), *rest[3:]))
            else:
                assert rest[0] == ours
                name = ".".join((part, theirs, rest[1], theirs, rest[3], *rest[4:]))
            name = re.sub(r"\b(norm1|conv1|norm2|conv2|conv_shortcut)\.", lambda m: f"{layers[m[1]]}.", name)
        renamed[name] = tensor
    return renamed


def _text(student: Student) -> Tensors:
    state = dict(student.text_encoder.encoder.state_dict())
    del state["encoder.embed_tokens.weight"]  # tied: safetensors holds it once
    return state


def _text_as_released(student: Student) -> Tensors:
    encoder = student.text_encoder.encoder
    renamed = {"token_embedding.weight": encoder.shared.weight, "norm.weight": encoder.encoder.final_layer_norm.weight}
    for number, block in enumerate(encoder.encoder.block):
        attention, feed_forward = block.layer[0].SelfAttention, block.layer[1].DenseReluDense
        parts = {
            "norm1": block.layer[0].layer_norm,
            "norm2": block.layer[1].layer_norm,
            "attn.q": attention.q,
            "attn.k": attention.k,
            "attn.v": attention.v,
            "attn.o": attention.o,
            "pos_embedding.embedding": attention.relative_attention_bias,
            "ffn.gate.0": feed_forward.wi_0,
            "ffn.fc1": feed_forward.wi_1,
            "ffn.fc2": feed_forward.wo,
        }
        renamed |= {f"blocks.{number}.{name}.weight": part.weight for name, part in parts.items()}
    return renamed


def save_shards(tensors: Tensors, folder: Path, stem: str, *, count: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names, weight_map = sorted(tensors), {}
    for number in range(count):
        file = f"{stem}-{number + 1:05}-of-{count:05}.safetensors"
        keys = names[number::count]
        save_file({key: tensors[key].contiguous() for key in keys}, folder / file)
        weight_map |= dict.fromkeys(keys, file)
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def released(student: Student, folder: Path) -> Path:
    save_shards(dit(student), folder, "diffusion_pytorch_model")
    torch.save(_vae_as_released(student), folder / VAE_FILE)
    torch.save({name: tensor.bfloat16() for name, tensor in _text_as_released(student).items()}, folder / T5_FILE)
    (folder / "google/umt5-xxl").mkdir(parents=True)
    (folder / "google/umt5-xxl/tokenizer.json").write_text("{}")
    return folder


def for_diffusers(student: Student, folder: Path) -> Path:
    save_shards(dit_for_diffusers(student), folder / "transformer", "diffusion_pytorch_model")
    (folder / "vae").mkdir()
    save_file(_vae(student), folder / "vae/diffusion_pytorch_model.safetensors")
    save_shards(_text(student), folder / "text_encoder", "model", count=2)
    return folder
