"""The graphs of a student: modules whose inputs and outputs are flat, named, and laid out as the engine gets them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor, nn
from torch.export import Dim

from contract.geometry import StudentGeometry
from contract.tensors import STUDENT, TEXT_ENCODER, VAE_DECODER, VAE_ENCODER, new_names, past_names
from student.dit import CausalDiT
from student.student import Student
from student.vae import StreamingVae

Inputs = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What the exporter and the parity check need to know of one graph.

    Attributes:
        path: file within the model repository.
        module: takes the inputs in the order of `inputs`, returns the outputs in the order of `output_names`.
        inputs: draws random inputs of the given sizes ("B", "F", "S", as far as the graph has them).
        example: sizes to trace at.
        sizes: sizes at which PyTorch and the graph are compared.
        dynamic_shapes: for each input, dimension -> torch.export Dim.
    """

    path: str
    module: nn.Module
    inputs: Callable[[Mapping[str, int]], Inputs]
    output_names: tuple[str, ...]
    example: Mapping[str, int] = field(default_factory=dict)
    sizes: tuple[Mapping[str, int], ...] = ({},)
    dynamic_shapes: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)


def graphs(student: Student) -> tuple[Graph, ...]:
    """Every graph of a student, in the order of the way of a picture through them."""
    geometry = student.geometry
    return (
        _text_encoder(student.text_encoder, geometry),
        _vae_encoder(student.vae, geometry),
        _student(student.network, geometry),
        _decoder_first(student.vae, geometry),
        _decoder_next(student.vae, geometry),
    )


class _Flat(nn.Module):
    """`call` as a module over `part`, with positional inputs only."""

    def __init__(self, part: nn.Module, call: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.part = part
        self._call = call

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self._call(*inputs)


def _student(network: CausalDiT, geometry: StudentGeometry) -> Graph:
    tokens, layers = geometry.tokens_per_frame, range(geometry.num_layers)
    past_shape = (geometry.num_heads, geometry.head_dim)
    cache_dtype = _cache_dtype(geometry)

    def inputs(size: Mapping[str, int]) -> Inputs:
        B, F, S = size["B"], size["F"], size["S"]
        head: Inputs = {
            "latent": torch.randn(B, F, *geometry.latent_shape),
            "timestep": _timesteps(network, (B, F)),
            "text_context": torch.randn(B, geometry.text_tokens, geometry.text_dim),
            "position": torch.arange(S, S + F).repeat(B, 1),
            "past_position": torch.stack([torch.randperm(S) for _ in range(B)]),
        }
        past = (B, S * tokens, *past_shape)
        return head | {name: torch.randn(past).to(cache_dtype) for layer in layers for name in past_names(layer)}

    def call(latent: Tensor, timestep: Tensor, text: Tensor, position: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        past_position, *past_kv = past
        flow, k, v = network(latent, timestep, text, position, past_position, past_kv[0::2], past_kv[1::2])
        return (flow, *chain.from_iterable(zip(k, v, strict=True)))

    batch, frames, cached = Dim("batch"), Dim("frames"), Dim("cached", min=0)
    dynamic: dict[str, dict[int, Any]] = {
        "latent": {0: batch, 1: frames},
        "timestep": {0: batch, 1: frames},
        "text_context": {0: batch},
        "position": {0: batch, 1: frames},
        "past_position": {0: batch, 1: cached},
    }
    dynamic |= {name: {0: batch, 1: tokens * cached} for layer in layers for name in past_names(layer)}
    full, chunk = geometry.max_attended_frames, geometry.chunk_frames
    return Graph(
        path=f"{STUDENT}/1/student.onnx",
        module=_Flat(network, call),
        inputs=inputs,
        output_names=("flow", *chain.from_iterable(new_names(layer) for layer in layers)),
        example={"B": 2, "F": 3, "S": 5},
        sizes=(
            {"B": 1, "F": 2, "S": 0},  # joint prefill
            {"B": 1, "F": 1, "S": 1},  # the garment alone
            {"B": 1, "F": chunk, "S": 2},
            {"B": 1, "F": chunk, "S": full},
            {"B": 2, "F": chunk, "S": 2 + chunk},
            {"B": 4, "F": chunk, "S": full},
        ),
        dynamic_shapes=dynamic,
    )


def _decoder_first(vae: StreamingVae, geometry: StudentGeometry) -> Graph:
    def call(latent: Tensor) -> tuple[Tensor, ...]:
        frame, caches = vae.decode(latent, None)
        return (frame, *caches)

    return Graph(
        path=f"{VAE_DECODER}/1/first.onnx",
        module=_Flat(vae, call),
        inputs=lambda _: {"latent": torch.randn(1, *geometry.latent_shape)},
        output_names=_decoder_outputs(geometry),
    )


def _decoder_next(vae: StreamingVae, geometry: StudentGeometry) -> Graph:
    def inputs(_: Mapping[str, int]) -> Inputs:
        shapes, dtype = geometry.decoder_cache_shapes, _cache_dtype(geometry)
        caches = {f"cache_{i}": torch.randn(shape).to(dtype) for i, shape in enumerate(shapes)}
        return {"latent": torch.randn(1, *geometry.latent_shape)} | caches

    def call(latent: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        frame, new_caches = vae.decode(latent, caches)
        return (frame, *new_caches)

    return Graph(
        path=f"{VAE_DECODER}/1/next.onnx",
        module=_Flat(vae, call),
        inputs=inputs,
        output_names=_decoder_outputs(geometry),
    )


def _decoder_outputs(geometry: StudentGeometry) -> tuple[str, ...]:
    return ("frame", *(f"new_cache_{i}" for i in range(len(geometry.decoder_cache_shapes))))


def _vae_encoder(vae: StreamingVae, geometry: StudentGeometry) -> Graph:
    def inputs(size: Mapping[str, int]) -> Inputs:
        shape = (size["B"], geometry.frame_height, geometry.frame_width, 3)
        return {"image": torch.randint(0, 256, shape, dtype=torch.uint8)}

    single = _for_single_images(vae)
    return Graph(
        path=f"{VAE_ENCODER}/1/vae_encoder.onnx",
        module=_Flat(single, lambda image: (single.encode_image(image),)),
        inputs=inputs,
        output_names=("latent",),
        example={"B": 2},
        sizes=({"B": 1}, {"B": 2}, {"B": 4}),
        dynamic_shapes={"image": {0: Dim("batch")}},
    )


def _text_encoder(encoder: nn.Module, geometry: StudentGeometry) -> Graph:
    def inputs(size: Mapping[str, int]) -> Inputs:
        B, T = size["B"], geometry.text_tokens
        lengths = torch.randint(1, T + 1, (B, 1))
        mask = (torch.arange(T) < lengths).long()
        return {"input_ids": torch.randint(3, 259, (B, T)) * mask, "attention_mask": mask}

    batch = Dim("batch")
    return Graph(
        path=f"{TEXT_ENCODER}/1/text_encoder.onnx",
        module=_Flat(encoder, lambda ids, mask: (encoder(ids, mask),)),
        inputs=inputs,
        output_names=("text_context",),
        example={"B": 2},
        sizes=({"B": 1}, {"B": 2}, {"B": 4}),
        dynamic_shapes={"input_ids": {0: batch}, "attention_mask": {0: batch}},
    )


def _timesteps(network: CausalDiT, shape: tuple[int, int]) -> Tensor:
    """Any in the network's range; of a network with a table, those that it knows."""
    if network.time_table is None:
        return torch.randint(0, 1001, shape).float()
    known = network.time_table.timesteps
    return known[torch.randint(0, len(known), shape)]


def _cache_dtype(geometry: StudentGeometry) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, geometry.cache_dtype)
    return dtype


def _for_single_images(vae: StreamingVae) -> StreamingVae:
    """The encoder with only those weights that meet a single image.

    A causal convolution's taps on the past see nothing but zeros there; without them the encoder has a third of the
    weights and of the work, and the same result.
    """
    weights = chain(vae.parameters(), vae.buffers())
    single = copy.deepcopy(vae, {id(weight): weight for weight in weights})  # other modules, the same weights
    for parent in list(single.vae.encoder.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, WanCausalConv3d) and conv.kernel_size[0] > 1:
                setattr(parent, name, _newest_tap(conv))
    return single


def _newest_tap(conv: WanCausalConv3d) -> WanCausalConv3d:
    _, rows, columns = conv.kernel_size
    pad_columns, _, pad_rows, *_ = conv._padding  # diffusers keeps the padding here: (w, w, h, h, t, 0)
    with torch.device("meta"):
        single = WanCausalConv3d(
            conv.in_channels, conv.out_channels, (1, rows, columns), conv.stride, (0, pad_rows, pad_columns)
        )
    single.weight = nn.Parameter(conv.weight[:, :, -1:].detach().clone(), requires_grad=False)
    single.bias = conv.bias
    return single
