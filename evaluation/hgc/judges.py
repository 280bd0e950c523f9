"""The benchmark's metrics: what each needs, and how it judges a video.

A judge opens with its model or not at all: nothing stands in for a model that is not there. Amplitude, smoothness, face
similarity, GME and video quality follow OpenS2V-Eval, on which the paper's metrics build; the instructions with which
the paper asks its language model are not published, and so are part of that judge's model.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.hgc.bench import BenchSample
from evaluation.hgc.motion import amplitude, smoothness
from evaluation.metrics.arrays import Frames

VARIABLE = "CHAMELEON_HGC_{name}"
"""The environment variable that says where a metric's model lies."""
_FACE_SIDE = 112
_FRAMES_ASKED = 8


class ModelMissing(ValueError):
    """A metric's model or package is not here; the message names it, and how to provide it."""


class Judge(Protocol):
    """Judges one video [n, H, W, 3] of a sample."""

    def __call__(self, video: Frames, sample: BenchSample) -> float: ...


def open_judge(name: str, models: Mapping[str, Path]) -> Judge:
    """A metric by its name in the paper's table.

    Args:
        models: where models lie, by metric; what is not there is looked up in the environment.

    Raises:
        ValueError: an unknown metric.
        ModelMissing: its model or its package is not here.
    """
    if name == "Amp":
        return lambda video, _: amplitude(video)
    if name not in _OPENERS:
        raise ValueError(f"unknown metric {name!r}; known: {', '.join(NAMES)}")
    opener, asked = _OPENERS[name]
    path = models.get(name) or os.environ.get(VARIABLE.format(name=name.upper()))
    if not path:
        raise ModelMissing(
            f"{name} needs {asked}: give its path with --model {name}=PATH or in {VARIABLE.format(name=name.upper())}"
        )
    if not Path(path).exists():
        raise ModelMissing(f"{name} needs {asked}, and there is nothing at {path}")
    return opener(name, Path(path))


def _face_similarity(name: str, path: Path) -> Judge:
    """Mean cosine between the faces of the reference and of the video; frames without a face are left out."""
    torch, analysis = _package(name, "torch"), _package(name, "insightface.app")
    embedder = torch.jit.load(str(path / "curricularface.torchscript.pt")).eval()
    detector = analysis.FaceAnalysis(name="antelopev2", root=str(path), allowed_modules=["detection"])
    detector.prepare(ctx_id=-1)
    align = _package(name, "insightface.utils.face_align").norm_crop

    def embed(frame: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        faces = detector.get(frame[..., ::-1])
        if not faces:
            return None
        face = align(frame, landmark=faces[0].kps, image_size=_FACE_SIDE)
        pixels = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            return np.asarray(torch.nn.functional.normalize(embedder(pixels))[0].numpy())

    def judge(video: Frames, sample: BenchSample) -> float:
        reference = embed(np.asarray(Image.open(sample.person).convert("RGB")))
        if reference is None:
            return float("nan")
        found = [face for frame in video if (face := embed(frame)) is not None]
        return float(np.mean([face @ reference for face in found])) if found else 0.0

    return judge


def _text_relevance(name: str, path: Path) -> Judge:
    """Mean cosine between the prompt's embedding and the frames'."""
    model = _package(name, "transformers").AutoModel.from_pretrained(path, trust_remote_code=True)

    def judge(video: Frames, sample: BenchSample) -> float:
        text = model.get_text_embeddings(texts=[sample.prompt])
        pictures = model.get_image_embeddings(images=[Image.fromarray(frame) for frame in _spread(video)])
        return float((pictures @ text.T).mean())

    return judge


def _video_quality(name: str, path: Path) -> Judge:
    """Q-Align's score of the video, 0 to 1."""
    score = _q_align(name, path)
    return lambda video, _: float(score([_spread(video)])[0])


def _smoothness(name: str, path: Path) -> Judge:
    """The share of frames without a jump in Q-Align's score of three frames at a time."""
    score = _q_align(name, path)
    return lambda video, _: smoothness(video, lambda windows: np.asarray(score(windows)))


def _q_align(name: str, path: Path) -> Callable[[Sequence[Sequence[NDArray[np.uint8]]]], Sequence[float]]:
    model = _package(name, "transformers").AutoModelForCausalLM.from_pretrained(path, trust_remote_code=True)

    def score(videos: Sequence[Sequence[NDArray[np.uint8]]]) -> Sequence[float]:
        pictures = [[Image.fromarray(frame) for frame in video] for video in videos]
        found: Sequence[float] = model.score(pictures, task_="quality", input_="video").tolist()
        # The model's scale is 1 (bad) to 5 (excellent).
        return [(value - 1) / 4 for value in found]

    return score


def _asked(name: str, path: Path) -> Judge:
    """What a language model that sees the pictures answers, 1 to 5."""
    instructions = json.loads((path / "instructions.json").read_text())
    if name not in instructions:
        raise ModelMissing(f"{path / 'instructions.json'} has no instruction for {name}")
    pipeline = _package(name, "transformers").pipeline("image-text-to-text", model=str(path / "model"))

    def judge(video: Frames, sample: BenchSample) -> float:
        pictures = [Image.open(sample.person), Image.open(sample.garment), *map(Image.fromarray, _spread(video))]
        content: list[dict[str, Any]] = [{"type": "image", "image": picture} for picture in pictures]
        content.append({"type": "text", "text": f"{instructions[name]}\n\n{sample.prompt}"})
        answer = pipeline([{"role": "user", "content": content}], return_full_text=False, max_new_tokens=16)
        text = str(answer[0]["generated_text"]).strip()
        digits = [character for character in text if character in "12345"]
        if not digits:
            raise ValueError(f"{name}: the model answered {text!r} and no number from 1 to 5")
        return float(digits[0])

    return judge


_VLM = "a folder with a vision-language model in model/ and the instructions for HGC, LGC and NTP in instructions.json"
_Q_ALIGN = "a folder with the Q-Align weights (q-future/one-align)"
_OPENERS: dict[str, tuple[Callable[[str, Path], Judge], str]] = {
    "Cur": (_face_similarity, "a folder with curricularface.torchscript.pt and insightface's models/antelopev2"),
    "GME": (_text_relevance, "a folder with the GME-Qwen2-VL weights"),
    "Smooth": (_smoothness, _Q_ALIGN),
    "VQ": (_video_quality, _Q_ALIGN),
    "HGC": (_asked, _VLM),
    "LGC": (_asked, _VLM),
    "NTP": (_asked, _VLM),
}
NAMES = ("Amp", *_OPENERS)


def _package(metric: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModelMissing(f"{metric} needs the package {error.name}, which is not installed") from error


def _spread(video: Frames) -> list[NDArray[np.uint8]]:
    """A few frames, evenly over the video."""
    places = np.linspace(0, len(video) - 1, min(_FRAMES_ASKED, len(video))).round().astype(int)
    return [video[place] for place in places]
