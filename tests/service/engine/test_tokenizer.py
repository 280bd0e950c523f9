"""Prompts to ids: bytes for nano, a tokenizer's file for the 5B student, and what is refused before anything starts."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from contract import byte_tokenizer
from service.engine.tokenizer import open_tokenizer, padded

NAME = "tokenizer.json"


def _write(folder: Path, padding: str = "<pad>") -> None:
    """A tokenizer of three words with an end, as umT5's ends."""
    words = {padding: 0, "</s>": 1, "<unk>": 2, "she": 3, "walks": 4}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made.enable_padding(length=8, pad_token=padding)
    made.enable_truncation(max_length=2)
    made.save(str(folder / NAME))


def test_bytes_need_no_file(tmp_path: Path) -> None:
    assert open_tokenizer("bytes", tmp_path)("ab") == byte_tokenizer.encode("ab")


def test_a_file_gives_the_ids_with_their_end_and_neither_pads_nor_cuts(tmp_path: Path) -> None:
    _write(tmp_path)
    tokenize = open_tokenizer(NAME, tmp_path)
    assert tokenize(" she  walks \n walks") == [3, 4, 4, 1]
    tokens, mask = padded(tokenize("she"), 4)
    np.testing.assert_array_equal(tokens, [3, 1, 0, 0])
    np.testing.assert_array_equal(mask, [1, 1, 0, 0])


def test_a_file_that_is_missing_or_pads_otherwise_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.json' *, and .* cannot be read"):
        open_tokenizer(NAME, tmp_path)
    _write(tmp_path, padding="<nothing>")
    with pytest.raises(ValueError, match=r"id 0 is '<nothing>', not '<pad>'"):
        open_tokenizer(NAME, tmp_path)
