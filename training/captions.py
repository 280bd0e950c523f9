"""Captions to text contexts, with dropout and the empty prompt for guidance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.byte_tokenizer import PAD_ID, encode
from student.text import TextEncoder

EMPTY = ""


def tokens(captions: Sequence[str], *, length: int) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, [B, length] int64 each.

    Raises:
        ValueError: for a caption that does not fit.
    """
    ids = torch.full((len(captions), length), PAD_ID)
    for row, caption in zip(ids, captions, strict=True):
        encoded = encode(caption)
        if len(encoded) > length:
            raise ValueError(f"a caption of {len(encoded)} tokens, and {length} fit: {caption!r}")
        row[: len(encoded)] = torch.tensor(encoded)
    return ids, (ids != PAD_ID).long()


def contexts(encoder: TextEncoder, captions: Sequence[str], *, length: int, device: torch.device) -> Tensor:
    """[B, length, D_text]; each distinct caption is encoded once."""
    distinct = list(dict.fromkeys(captions))
    ids, mask = (tensor.to(device) for tensor in tokens(distinct, length=length))
    encoded: Tensor = encoder(ids, mask)
    index = {caption: place for place, caption in enumerate(distinct)}
    return encoded[torch.tensor([index[caption] for caption in captions], device=device)]


def drop(captions: Sequence[str], chance: Tensor, *, share: float) -> list[str]:
    """Leave out a share of the captions, so that the network learns guidance; `chance` [B] in [0, 1) decides."""
    return [
        EMPTY if leave_out else caption for caption, leave_out in zip(captions, (chance < share).tolist(), strict=True)
    ]
