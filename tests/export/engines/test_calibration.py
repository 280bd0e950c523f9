"""What FP8 is calibrated on: pairs of pictures, streams that fill the window."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from contract import byte_tokenizer
from export.engines import calibration
from service.engine.tokenizer import open_tokenizer
from student.student import Student


def _picture(path: Path) -> None:
    Image.new("RGB", (30, 50), (200, 30, 30)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.person.png", "a.garment.png", "b.person.jpg", "b.garment.png"):
        _picture(tmp_path / name)
    (tmp_path / "b.txt").write_text("She turns.\n")
    return tmp_path


def test_pairs_are_found_by_name_with_their_prompts(folder: Path) -> None:
    first, second = calibration.samples(folder)
    assert (first.person.name, first.garment.name, first.prompt) == ("a.person.png", "a.garment.png", "")
    assert (second.person.name, second.garment.name, second.prompt) == ("b.person.jpg", "b.garment.png", "She turns.")


def test_half_a_pair_is_named_and_an_empty_folder_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "b.garment.png").unlink()
    with pytest.raises(ValueError, match="person or garment is missing for b"):
        calibration.samples(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no NAME"):
        calibration.samples(tmp_path / "empty")


def test_the_embedded_students_tokenizer_needs_no_file(student: Student, tmp_path: Path) -> None:
    assert calibration.tokenizer(student, tmp_path / "none") is byte_tokenizer.encode


def test_a_tokenizers_file_gives_the_ids_that_the_service_serves_with(student: Student, tmp_path: Path) -> None:
    made = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 2, "she": 3, "walks": 4}, unk_token="<unk>"))
    made.pre_tokenizer = Split(" ", "isolated")
    made.enable_padding(length=8, pad_token="<pad>")
    made.enable_truncation(max_length=2)
    made.save(str(tmp_path / "tokenizer.json"))
    tokenize = calibration.tokenizer(replace(student, tokenizer="tokenizer.json"), tmp_path / "tokenizer.json")
    prompt = " she  walks\nshe "
    assert tokenize(prompt) == open_tokenizer("tokenizer.json", tmp_path)(prompt)


def test_a_stream_is_sampled_until_a_pass_has_seen_a_full_window(student: Student, folder: Path) -> None:
    seen: list[int] = []

    def watch(_: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        seen.append(arguments[4].shape[1])  # past_position

    handle = student.network.register_forward_pre_hook(watch)
    samples = calibration.samples(folder)[:1]
    calibration.drive(student, samples, byte_tokenizer.encode, student.network)
    handle.remove()
    assert set(seen) == {0, *student.geometry.attended_lengths()}
