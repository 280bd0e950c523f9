"""The commands write what they say."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from training.world.__main__ import main


def test_sheet_draws_a_row_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["world", "sheet", "--count", "2", "--rows", "48", "--out", str(out)])
    main()
    with Image.open(out) as picture:
        width, height = picture.size
    assert width > 10 * 32
    assert height > 2 * 48


def test_pictures_writes_a_person_and_two_garments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["world", "pictures", "--out", str(tmp_path)])
    main()
    sizes = {}
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            sizes[path.name.split("-")[0]] = picture.size
    assert sizes == {"person.jpg": (512, 768), "garment": (512, 768)}
    assert len(list(tmp_path.iterdir())) == 3
