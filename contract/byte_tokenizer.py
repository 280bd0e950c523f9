"""The embedded student's tokenizer: bytes, so that there is no vocabulary file."""

from __future__ import annotations

NAME = "bytes"
"""In a manifest."""
PAD_ID = 0
EOS_ID = 1
BYTE_OFFSET = 3
"""Ids 0, 1, 2 are pad, end and unknown, as in umT5."""
VOCABULARY = 256 + BYTE_OFFSET


def encode(prompt: str) -> list[int]:
    """The prompt's UTF-8 bytes plus 3, then the end."""
    return [byte + BYTE_OFFSET for byte in prompt.encode()] + [EOS_ID]
