"""Captions to text contexts, with dropout and the empty prompt for guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import tokenizers
import torch
from torch import Tensor

from contract.byte_tokenizer import PAD_ID, encode
from student.text import TextEncoder

EMPTY = ""
Tokenize = Callable[[str], list[int]]
"""Ids of a caption, its end included."""


def open_tokenizer(file: Path) -> Tokenize:
    """A text encoder's own tokenizer, in Hugging Face's format, with spaces as in Wan2.2's training.

    Raises:
        ValueError: the file cannot be read, or its padding is not the text encoder's.
    """
    try:
        known = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more precise
        raise ValueError(f"{file} is no tokenizer: {error}") from error
    if known.id_to_token(PAD_ID) != "<pad>":
        raise ValueError(f"{file}: id {PAD_ID} is {known.id_to_token(PAD_ID)!r}, not '<pad>'")
    known.no_padding()
    known.no_truncation()
    return lambda caption: list(known.encode(" ".join(caption.split())).ids)


def tokens(captions: Sequence[str], *, length: int, tokenize: Tokenize = encode) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, [B, length] int64 each.

    Raises:
        ValueError: for a caption that does not fit.
    """
    ids = torch.full((len(captions), length), PAD_ID)
    for row, caption in zip(ids, captions, strict=True):
        encoded = tokenize(caption)
        if len(encoded) > length:
            raise ValueError(f"a caption of {len(encoded)} tokens, and {length} fit: {caption!r}")
        row[: len(encoded)] = torch.tensor(encoded)
    return ids, (ids != PAD_ID).long()


def contexts(
    encoder: TextEncoder, captions: Sequence[str], *, length: int, device: torch.device, tokenize: Tokenize = encode
) -> Tensor:
    """[B, length, D_text]; each distinct caption is encoded once."""
    distinct = list(dict.fromkeys(captions))
    ids, mask = (tensor.to(device) for tensor in tokens(distinct, length=length, tokenize=tokenize))
    encoded: Tensor = encoder(ids, mask)
    index = {caption: place for place, caption in enumerate(distinct)}
    return encoded[torch.tensor([index[caption] for caption in captions], device=device)]


def drop(captions: Sequence[str], chance: Tensor, *, share: float) -> list[str]:
    """Leave out a share of the captions, so that the network learns guidance; `chance` [B] in [0, 1) decides."""
    return [
        EMPTY if leave_out else caption for caption, leave_out in zip(captions, (chance < share).tolist(), strict=True)
    ]
