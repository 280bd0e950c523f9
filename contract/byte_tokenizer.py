"""The embedded student's tokenizer: bytes, so that there is no vocabulary file. Standard library only."""

from __future__ import annotations

PAD_ID = 0
EOS_ID = 1
BYTE_OFFSET = 3
"""Ids 0, 1, 2 are pad, end and unknown, as in umT5."""
VOCABULARY = 256 + BYTE_OFFSET


def tokenize(prompt: str, length: int) -> tuple[list[int], list[int]]:
    """Token ids and attention mask, `length` each: the prompt's UTF-8 bytes plus 3, the end, padding.

    Raises:
        ValueError: if the prompt's bytes and the end do not fit.
    """
    ids = [byte + BYTE_OFFSET for byte in prompt.encode()] + [EOS_ID]
    if len(ids) > length:
        raise ValueError(f"the prompt has {len(ids) - 1} bytes, and {length - 1} fit")
    padding = length - len(ids)
    return ids + [PAD_ID] * padding, [1] * len(ids) + [0] * padding
