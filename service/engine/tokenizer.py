"""Prompts to token ids, by the tokenizer that the manifest names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from contract import byte_tokenizer

Tokenizer = Callable[[str], list[int]]
"""Ids of a prompt, its end included."""

_PADDING = "<pad>"


def open_tokenizer(name: str, folder: Path) -> Tokenizer:
    """The tokenizer "bytes", or a file in Hugging Face's tokenizers format (umT5's tokenizer.json).

    Args:
        folder: of the text encoder in the model repository, where such a file lies.

    Raises:
        ValueError: there is no such file, it cannot be read, or its padding is not the text encoder's.
    """
    if name == byte_tokenizer.NAME:
        return byte_tokenizer.encode
    file = folder / name
    try:
        known = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more precise
        raise ValueError(f"the manifest names the tokenizer {name!r}, and {file} cannot be read: {error}") from error
    if known.id_to_token(byte_tokenizer.PAD_ID) != _PADDING:
        raise ValueError(
            f"{file}: id {byte_tokenizer.PAD_ID} is {known.id_to_token(byte_tokenizer.PAD_ID)!r}, not {_PADDING!r}"
        )
    known.no_padding()
    known.no_truncation()
    return lambda prompt: list(known.encode(" ".join(prompt.split())).ids)  # spaces as in Wan2.2's training


def padded(ids: list[int], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, [length] each. The caller has checked that the ids fit."""
    tokens = np.full(length, byte_tokenizer.PAD_ID, np.int64)
    mask = np.zeros(length, np.int64)
    tokens[: len(ids)] = ids
    mask[: len(ids)] = 1
    return tokens, mask
