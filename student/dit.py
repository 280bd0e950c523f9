"""The causal Wan2.2-TI2V DiT (model.md sections 1 and 2). Modules carry the original checkpoint's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contract.geometry import StudentGeometry
from student.rope import Rope, Sinusoids, rotate
from student.time_table import TimeTable

EPS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class DiTConfig:
    """The numbers a DiT is built from; the latent grid is free."""

    channels: int
    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    freq_dim: int
    text_dim: int
    patch: tuple[int, int] = (2, 2)

    @classmethod
    def of(cls, geometry: StudentGeometry) -> DiTConfig:
        return cls(
            channels=geometry.latent_channels,
            dim=geometry.dim,
            ffn_dim=geometry.ffn_dim,
            num_heads=geometry.num_heads,
            num_layers=geometry.num_layers,
            freq_dim=geometry.freq_dim,
            text_dim=geometry.text_dim,
            patch=(geometry.patch_height, geometry.patch_width),
        )


Rotation = tuple[Tensor, Tensor]
KeysAndValues = tuple[Tensor, Tensor]
"""Of the prompt's T positions, [B, T, H, D] each."""
Prompt = tuple[KeysAndValues, ...]
"""What every layer's cross-attention reads of a prompt: a session computes it once."""
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values [B, H, L, D] -> [B, H, L, D]: attention under a mask that the function knows."""


class Attention(nn.Module):
    """Multi-head attention with RMSNorm of queries and keys over the full width, before the head split."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.qkv: nn.Linear | None = None  # in their stead, once `student.inference` has fused them
        self.o = nn.Linear(dim, dim)
        self.norm_q = nn.RMSNorm(dim, eps=EPS)
        self.norm_k = nn.RMSNorm(dim, eps=EPS)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the same tokens: [B, L, dim] -> [B, L, H, D] each."""
        if self.qkv is None:
            return self.queries(x), self.keys(x), self.values(x)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self._heads(self.norm_q(q)), self._heads(self.norm_k(k)), self._heads(v)

    def queries(self, x: Tensor) -> Tensor:
        """[B, L, dim] -> [B, L, H, D]."""
        return self._heads(self.norm_q(self.q(x)))

    def keys(self, x: Tensor) -> Tensor:
        return self._heads(self.norm_k(self.k(x)))

    def values(self, x: Tensor) -> Tensor:
        return self._heads(self.v(x))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | Attend | None = None) -> Tensor:
        """[B, L, H, D] each -> [B, L, dim]; `mask` [L, L_k] is true where a row attends a column."""
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        out = mask(q, k, v) if callable(mask) else F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        merged: Tensor = self.o(out.transpose(1, 2).flatten(2))
        return merged

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1))
        return heads


class Block(nn.Module):
    """Self-attention over cached and new tokens, cross-attention to the text, feed-forward; AdaLN with six vectors."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        dim = config.dim
        self.norm1 = nn.LayerNorm(dim, eps=EPS, elementwise_affine=False)
        self.self_attn = Attention(dim, config.num_heads)
        self.norm3 = nn.LayerNorm(dim, eps=EPS)
        self.cross_attn = Attention(dim, config.num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=EPS, elementwise_affine=False)
        self.ffn = nn.Sequential(nn.Linear(dim, config.ffn_dim), nn.GELU("tanh"), nn.Linear(config.ffn_dim, dim))
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / math.sqrt(dim))

    def vectors(self, condition: Tensor) -> Tensor:
        """Shift, scale and gate of attention and of feed-forward: [B, F, 6, dim] float32, from the projected time."""
        return self.modulation.float() + condition

    def prompt(self, text: Tensor) -> KeysAndValues:
        """What cross-attention makes of a text [B, T, dim], whatever asks: [B, T, H, D] each."""
        return self.cross_attn.keys(text), self.cross_attn.values(text)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        text: Tensor | KeysAndValues,
        new_rotation: Rotation,
        past_rotation: Rotation,
        past_k: Tensor | None,
        past_v: Tensor | None,
        mask: Tensor | Attend | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer.

        Args:
            x: [B, F, N, dim] tokens.
            condition: [B, F, 6, dim] float32, the projected time.
            text: [B, T, dim], or the keys and values computed from it.
            past_k, past_v: [B, S*N, H, D], keys before rotation; None: nothing is cached.

        Returns:
            x, and the new tokens' keys (before rotation) and values, [B, F*N, H, D].
        """
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (
            self.vectors(condition).unsqueeze(-2).unbind(2)
        )  # [B, F, 1, dim] each
        attention = self.self_attn
        h = _modulate(self.norm1(x), shift, scale).flatten(1, 2)
        q, k, v = attention.project(h)
        all_k, all_v = rotate(k, *new_rotation), v
        if past_k is not None and past_v is not None:
            # The cache may be of another type than the pass, in mixed precision.
            all_k = torch.cat((rotate(past_k.to(k.dtype), *past_rotation), all_k), dim=1)
            all_v = torch.cat((past_v.to(v.dtype), all_v), dim=1)
        out = attention.attend(rotate(q, *new_rotation), all_k, all_v, mask)
        x = _gated(x, out.view_as(x), gate)
        cross = self.cross_attn
        h = self.norm3(x).flatten(1, 2)
        text_k, text_v = (cross.keys(text), cross.values(text)) if isinstance(text, Tensor) else text
        x = x + cross.attend(cross.queries(h), text_k, text_v).view_as(x)
        x = _gated(x, self.ffn(_modulate(self.norm2(x), ffn_shift, ffn_scale)), ffn_gate)
        return x, k, v


class Head(nn.Module):
    """Modulated norm and projection to patches."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, eps=EPS, elementwise_affine=False)
        self.head = nn.Linear(config.dim, math.prod(config.patch) * config.channels)
        self.modulation = nn.Parameter(torch.randn(1, 2, config.dim) / math.sqrt(config.dim))

    def vectors(self, time: Tensor) -> Tensor:
        """Shift and scale: [B, F, 2, dim] float32, from the time embedding [B, F, 1, dim]."""
        return self.modulation.float() + time

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[B, F, N, dim] tokens and the time embedding [B, F, 1, dim] -> [B, F, N, patch pixels x channels]."""
        shift, scale = self.vectors(time).unsqueeze(-2).unbind(2)
        out: Tensor = self.head(_modulate(self.norm(x), shift, scale))
        return out


class CausalDiT(nn.Module):
    """Predicts flow = noise - clean for F latent frames that attend themselves and S cached ones."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = nn.Conv3d(
            config.channels, dim, kernel_size=(1, *config.patch), stride=(1, *config.patch)
        )
        self.text_embedding = nn.Sequential(nn.Linear(config.text_dim, dim), nn.GELU("tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.head = Head(config)
        self.time_sinusoids = Sinusoids(config.freq_dim)
        self.rope = Rope(dim // config.num_heads)
        self.time_table: TimeTable | None = None  # in place of the embeddings, once `student.inference` has made it
        self.compiled = False  # whether the layers are, each for itself

    @property
    def layers(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    @property
    def dtype(self) -> torch.dtype:
        """Weights' type; the latent and the flow are float32 whatever it is."""
        return self.patch_embedding.weight.dtype

    def forward(
        self,
        latent: Tensor,
        timestep: Tensor,
        text: Tensor | Prompt,
        position: Tensor,
        past_position: Tensor,
        past_k: Sequence[Tensor | None],
        past_v: Sequence[Tensor | None],
        mask: Tensor | Attend | None = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One pass.

        Args:
            latent: [B, F, C, h, w] float32.
            timestep: [B, F], what the network sees, in [0, 1000].
            text: [B, T, D_text], every one of the T positions attended; or what `prompt` made of it.
            position: [B, F] temporal positions of the frames.
            past_position: [B, S] temporal positions of the cached frames; S may be 0.
            past_k, past_v: for each layer [B, S*N, H, D]; keys are raw and get rotated here; None: S is 0.
            mask: [F*N, S*N + F*N], true where a row attends a column; or what attends in its stead; None: everything
                is attended.

        Returns:
            flow [B, F, C, h, w] float32, and for each layer the new raw keys and the new values, [B, F*N, H, D].
        """
        grid = (latent.shape[-2] // self.config.patch[0], latent.shape[-1] // self.config.patch[1])
        new_rotation = self.rope(position, grid)
        past_rotation = self.rope(past_position, grid)
        condition, time = self.embedded_time(timestep) if self.time_table is None else self.time_table(timestep)
        prompt: Sequence[Tensor | KeysAndValues] = (
            [self._embedded(text)] * self.config.num_layers if isinstance(text, Tensor) else text
        )
        x = self._patchify(latent.to(self.dtype), grid)
        if self.compiled:
            # No view, as what comes out of a layer is none: the compiler would make the first layer's code apart.
            x = x.clone()
        new_k, new_v = [], []
        layers = zip(self.blocks, prompt, past_k, past_v, strict=True)
        for block, layer_text, layer_k, layer_v in layers:
            x, k, v = block(x, condition, layer_text, new_rotation, past_rotation, layer_k, layer_v, mask)
            new_k.append(k)
            new_v.append(v)
        return self._unpatchify(self.head(x, time), grid), new_k, new_v

    def embedded_time(self, timestep: Tensor) -> tuple[Tensor, ...]:
        """Of timesteps [B, F]: what layers [B, F, 6, dim] and head [B, F, 1, dim] add their modulation to, float32.

        They add it themselves, in their own pass, for only there has FSDP their weights whole.
        """
        time = self.time_embedding(torch.cat(self.time_sinusoids(timestep), dim=-1).to(self.dtype))
        return self.time_projection(time).unflatten(-1, (6, -1)).float(), time.float().unsqueeze(2)

    def prompt(self, text_context: Tensor) -> Prompt:
        """Keys and values of a prompt [B, T, D_text], which `forward` takes in its stead."""
        text = self._embedded(text_context)
        return tuple(block.prompt(text) for block in self.layers)

    def attend_all(
        self,
        latent: Tensor,
        timestep: Tensor,
        text: Tensor | Prompt,
        position: Tensor,
        mask: Tensor | Attend | None = None,
    ) -> Tensor:
        """The teacher's pass: no cache, bidirectional or under a mask [F*N, F*N]. Returns the flow."""
        nothing = [None] * self.config.num_layers
        flow, _, _ = self(latent, timestep, text, position, position[:, :0], nothing, nothing, mask)
        assert isinstance(flow, Tensor)
        return flow

    def _embedded(self, text_context: Tensor) -> Tensor:
        text: Tensor = self.text_embedding(text_context.to(self.dtype))
        return text

    def _patchify(self, latent: Tensor, grid: tuple[int, int]) -> Tensor:
        """[B, F, C, h, w] -> [B, F, N, dim]: the patch convolution, written as the matrix product it is."""
        rows, columns = grid
        height, width = self.config.patch
        # [B, F, C, rows, ph, columns, pw]
        patches = latent.unflatten(-1, (columns, width)).unflatten(-3, (rows, height))
        patches = patches.permute(0, 1, 3, 5, 2, 4, 6).flatten(-3).flatten(2, 3)
        return F.linear(patches, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias)

    def _unpatchify(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """[B, F, N, ph*pw*C] -> [B, F, C, h, w] float32."""
        # [B, F, rows, columns, ph, pw, C]
        x = patches.float().unflatten(-1, (*self.config.patch, -1)).unflatten(2, grid)
        latent: Tensor = x.permute(0, 1, 6, 2, 4, 3, 5).flatten(-2).flatten(-3, -2)
        return latent


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Modulation is done in float32 whatever the weights' type, as in the reference."""
    return (x.float() * (1 + scale) + shift).to(x.dtype)


def _gated(x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    return (x.float() + update.float() * gate).to(x.dtype)
