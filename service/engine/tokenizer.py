"""Prompts to token ids, by the tokenizer that the manifest names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from contract import byte_tokenizer

Tokenizer = Callable[[str], list[int]]
"""Ids of a prompt, its end included."""


def open_tokenizer(name: str) -> Tokenizer:
    """Raises ValueError for a tokenizer this service does not know."""
    if name == "bytes":
        return byte_tokenizer.encode
    raise ValueError(f"the manifest names the tokenizer {name!r}; known: 'bytes'")


def padded(ids: list[int], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, [length] each. The caller has checked that the ids fit."""
    tokens = np.full(length, byte_tokenizer.PAD_ID, np.int64)
    mask = np.zeros(length, np.int64)
    tokens[: len(ids)] = ids
    mask[: len(ids)] = 1
    return tokens, mask
