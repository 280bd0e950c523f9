"""What FP8 is calibrated on: streams sampled from pictures, until the window is full.

A folder holds pairs `NAME.person.EXT` and `NAME.garment.EXT`, and for each, if wanted, `NAME.txt` with its prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from contract import byte_tokenizer
from student.dit import CausalDiT
from student.rollout import LatentStream, philox_noise
from student.student import Student

Tokenize = Callable[[str], list[int]]
_KINDS = ("person", "garment")
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    person: Path
    garment: Path
    prompt: str = ""


def samples(folder: Path) -> tuple[Sample, ...]:
    """The pairs of a folder, by name.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no pair, or half of one, which is named.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    people, garments = ({_stem(path, kind): path for path in sorted(folder.glob(f"*.{kind}.*"))} for kind in _KINDS)
    if halves := sorted(people.keys() ^ garments.keys()):
        raise ValueError(f"{folder}: person or garment is missing for {', '.join(halves)}")
    if not people:
        raise ValueError(f"{folder} holds no NAME.person.EXT with its NAME.garment.EXT")
    return tuple(
        Sample(person=person, garment=garments[name], prompt=_prompt(folder / f"{name}.txt"))
        for name, person in people.items()
    )


def tokenizer(student: Student, file: Path) -> Tokenize:
    """A student's tokenizer: bytes, or what `file` (tokenizer.json) says.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if student.tokenizer == byte_tokenizer.NAME:
        return byte_tokenizer.encode
    if not file.is_file():
        raise FileNotFoundError(f"no tokenizer {file}")
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(file))
    # As the service does: what the file pads would be attended as words.
    known.no_padding()
    known.no_truncation()
    return lambda prompt: list(known.encode(" ".join(prompt.split())).ids)


def drive(student: Student, wanted: Iterable[Sample], tokenize: Tokenize, network: CausalDiT) -> None:
    """Sample each pair's stream, with `network` in the backbone's place, until a pass has seen a full window.

    The student's encoders work where the network lies, and go back.
    """
    device, home = network.patch_embedding.weight.device, student.vae.mean.device
    try:
        _place(student, device)
        _drive(student, wanted, tokenize, network)
    finally:
        _place(student, home)


def _place(student: Student, device: torch.device) -> None:
    for encoder in (student.vae, student.text_encoder):
        encoder.to(device)


def _drive(student: Student, wanted: Iterable[Sample], tokenize: Tokenize, network: CausalDiT) -> None:
    geometry = student.geometry
    for seed, sample in enumerate(wanted):
        stream = LatentStream(network, geometry, noise=philox_noise(seed), schedule=student.schedule)
        stream.start(
            student.vae.encode_image(_pixels(student, sample.person, cropped=True)),
            student.vae.encode_image(_pixels(student, sample.garment, cropped=False)),
            _context(student, tokenize(sample.prompt)),
        )
        for _ in geometry.attended_lengths():
            stream.chunk()


def _stem(path: Path, kind: str) -> str:
    return path.name.partition(f".{kind}.")[0]


def _prompt(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _pixels(student: Student, path: Path, *, cropped: bool) -> Tensor:
    """[1, H, W, 3] uint8: a person fills the frame, a garment lies whole on white."""
    size = (student.geometry.frame_width, student.geometry.frame_height)
    with Image.open(path) as image:
        picture = ImageOps.exif_transpose(image).convert("RGB")
    fitted = ImageOps.fit(picture, size) if cropped else ImageOps.pad(picture, size, color=_WHITE)
    return torch.from_numpy(np.array(fitted))[None].to(student.vae.mean.device)


def _context(student: Student, ids: list[int]) -> Tensor:
    length, device = student.geometry.text_tokens, student.vae.mean.device
    padded = torch.full((1, length), byte_tokenizer.PAD_ID)
    count = min(len(ids), length)
    padded[0, :count] = torch.tensor(ids[:count])
    mask = (torch.arange(length) < count).long()[None]
    context: Tensor = student.text_encoder(padded.to(device), mask.to(device))
    return context
