"""The text encoder: transformers' UMT5EncoderModel for both sizes; tiny and over bytes in the embedded student."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from contract.byte_tokenizer import EOS_ID, PAD_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """Sizes of a umT5 encoder."""

    vocabulary: int
    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int

    def build(self) -> UMT5EncoderModel:
        config = UMT5Config(
            vocab_size=self.vocabulary,
            d_model=self.dim,
            d_kv=self.dim // self.num_heads,
            d_ff=self.ffn_dim,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            pad_token_id=PAD_ID,
            eos_token_id=EOS_ID,
            use_cache=False,
        )
        encoder: UMT5EncoderModel = UMT5EncoderModel(config).eval()
        return encoder


UMT5_XXL = TextConfig(vocabulary=256_384, dim=4096, ffn_dim=10_240, num_heads=64, num_layers=24)
"""The 5B student's."""


class TextEncoder(nn.Module):
    """Token ids to the context the DiT attends: zero beyond the prompt, and every position attended."""

    def __init__(self, encoder: UMT5EncoderModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, T] int64 each -> [B, T, D_text] float32."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return torch.where(attention_mask.unsqueeze(-1) > 0, hidden.float(), 0.0)
