"""Key names of Wan2.2 checkpoints: each network's other naming turned into the one that its module has.

The backbone's modules have the original release's names; VAE and text encoder are diffusers' and transformers' classes
and have theirs. What already has the module's name stays as it is, so a checkpoint in either naming fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> _Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


# What trainings wrap a network in: a wrapper's attribute in front; within it FSDP's, checkpointing's, torch.compile's.
_WRAPPERS = _rules(
    (r"_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.|_orig_mod\.", ""),
    (r"^(?:(?:module|generator|model|diffusion_model|transformer)\.)+", ""),
)

# diffusers -> original. `norm2` and `norm3` trade names: the affine norm before cross-attention is `norm3` in the
# original and `norm2` in diffusers (the other two norms of a block have no weights).
_DIT = _rules(
    (r"^condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"^condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"^condition_embedder\.time_proj\.", "time_projection.1."),
    (r"^condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"^condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"^proj_out\.", "head.head."),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^(blocks\.\d+\.)scale_shift_table$", r"\1modulation"),
    (r"^(blocks\.\d+\.)norm2\.", r"\1norm3."),
    (r"^(blocks\.\d+\.)attn1\.", r"\1self_attn."),
    (r"^(blocks\.\d+\.)attn2\.", r"\1cross_attn."),
    (r"^(blocks\.\d+\.(?:self|cross)_attn\.)to_([qkv])\.", r"\1\2."),
    (r"^(blocks\.\d+\.(?:self|cross)_attn\.)to_out\.0\.", r"\1o."),
    (r"^(blocks\.\d+\.ffn\.)net\.0\.proj\.", r"\g<1>0."),
    (r"^(blocks\.\d+\.ffn\.)net\.2\.", r"\g<1>2."),
)

# original -> diffusers. The original's blocks are nn.Sequential: residual blocks first, the resampling layer last.
_VAE = _rules(
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^((?:en|de)coder\.)conv1\.", r"\1conv_in."),
    (r"^((?:en|de)coder\.)head\.0\.", r"\1norm_out."),
    (r"^((?:en|de)coder\.)head\.2\.", r"\1conv_out."),
    (r"^((?:en|de)coder\.)middle\.0\.", r"\1mid_block.resnets.0."),
    (r"^((?:en|de)coder\.)middle\.1\.", r"\1mid_block.attentions.0."),
    (r"^((?:en|de)coder\.)middle\.2\.", r"\1mid_block.resnets.1."),
    (r"^(encoder\.)downsamples\.(\d+)\.downsamples\.\d+\.(resample|time_conv)\.", r"\1down_blocks.\2.downsampler.\3."),
    (r"^(encoder\.)downsamples\.(\d+)\.downsamples\.", r"\1down_blocks.\2.resnets."),
    (r"^(decoder\.)upsamples\.(\d+)\.upsamples\.\d+\.(resample|time_conv)\.", r"\1up_blocks.\2.upsampler.\3."),
    (r"^(decoder\.)upsamples\.(\d+)\.upsamples\.", r"\1up_blocks.\2.resnets."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)

# original -> transformers. Of the gated feed-forward `gate` is the activated half.
_TEXT = _rules(
    (r"^token_embedding\.", "shared."),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"^blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
    (r"^blocks\.(\d+)\.pos_embedding\.embedding\.", r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias."),
    (r"^blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
)


def dit_name(key: str) -> str:
    """A backbone's key as `student.dit` has it: the original naming, out of whatever wrapped it."""
    return _renamed(_renamed(key, _WRAPPERS), _DIT)


def vae_name(key: str) -> str:
    """A VAE's key as diffusers' AutoencoderKLWan has it."""
    return _renamed(key, _VAE)


def text_name(key: str) -> str:
    """A umT5 encoder's key as transformers' UMT5EncoderModel has it."""
    return _renamed(key, _TEXT)


def same_name(key: str) -> str:
    """For modules that know one naming only."""
    return key


def collapsed(names: Iterable[str]) -> list[str]:
    """Names with those of successive blocks as one, `blocks.{0-29}.norm3.bias`, in the order of their first ones."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for name in names:
        if match := re.match(r"^(.*?\b(?:blocks?|up_blocks|down_blocks)\.)(\d+)(\..*)$", name):
            before, number, after = match.groups()
            numbers.setdefault((before, after), []).append(int(number))
        else:
            numbers[(name, "")] = []
    return [before + _ranges(found) + after for (before, after), found in numbers.items()]


def _ranges(numbers: list[int]) -> str:
    if not numbers:
        return ""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return text if len(numbers) == 1 else f"{{{text}}}"


def _renamed(key: str, rules: _Rules) -> str:
    for pattern, replacement in rules:
        key = pattern.sub(replacement, key)
    return key
