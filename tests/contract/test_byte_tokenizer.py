"""Bytes as tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.byte_tokenizer import BYTE_OFFSET, EOS_ID, VOCABULARY, encode


@given(st.text())
def test_a_prompt_is_its_bytes_and_an_end(prompt: str) -> None:
    *content, end = encode(prompt)
    assert bytes(token - BYTE_OFFSET for token in content).decode() == prompt
    assert end == EOS_ID
    assert all(BYTE_OFFSET <= token < VOCABULARY for token in content)
