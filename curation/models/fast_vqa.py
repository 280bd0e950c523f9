"""Quality by FAST-VQA-M, from its authors' package `fastvqa` and options file."""

from __future__ import annotations

import math
import threading
from typing import Any, ClassVar

import numpy as np
import yaml

from curation.clip import View
from curation.config import FastVqa
from curation.frames import Frames, sample
from curation.models.installed import package, require

# What its authors publish in vqa.py: ImageNet's statistics, and the mean and deviation of the model's scores.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_SCORE_MEAN, _SCORE_STD = 0.023889644, 0.030781006
_DATA = "val-kv1k"


class FastVqaScorer:
    """0 (bad) to 1 (excellent): the raw score, standardised and squashed as its authors do."""

    name: ClassVar[str] = "fast-vqa-m"

    def __init__(self, config: FastVqa) -> None:
        self._torch, self._lock, self._device = package(self.name, "torch"), threading.Lock(), config.device
        self._datasets = package(self.name, "fastvqa.datasets")
        options = yaml.safe_load(config.options.read_text("utf-8"))
        self._data = options["data"][_DATA]["args"]
        model = package(self.name, "fastvqa.models").DiViDeAddEvaluator(**options["model"]["args"])
        state = self._torch.load(config.weights, map_location="cpu", weights_only=True)
        model.load_state_dict(state["state_dict"])
        self._model = model.to(config.device).eval()

    @classmethod
    def check(cls, config: FastVqa) -> None:
        """ModelMissing, without loading anything."""
        advice = "pip install a checkout of VQAssessment/FAST-VQA-and-FasterVQA, and download its FAST-VQA-M weights"
        require(cls.name, packages=("torch", "fastvqa"), paths=(config.options, config.weights), advice=advice)

    def score(self, view: View, frames: Frames) -> float:
        """Of frames that the model's own sampler chooses; `frames` are not those."""
        parts = {name: self._fragments(view, kind) for name, kind in self._data["sample_types"].items()}
        with self._lock, self._torch.inference_mode():
            raw = float(self._model({name: part.to(self._device) for name, part in parts.items()}).mean())
        return 1 / (1 + math.exp(-(raw - _SCORE_MEAN) / _SCORE_STD))

    def _fragments(self, view: View, kind: dict[str, int]) -> Any:
        """[clips, 3, frames, H, W], normalised."""
        clips = kind.get("num_clips", 1)
        sampler = self._datasets.SampleFrames(
            clip_len=kind["clip_len"], frame_interval=kind.get("frame_interval", 2), num_clips=clips
        )
        places = np.asarray(sampler(view.clip.frames)).ravel()
        distinct, order = np.unique(places, return_inverse=True)
        pixels = self._torch.from_numpy(sample(view.file, tuple(distinct.tolist()))[order])
        video = self._datasets.get_spatial_fragments(pixels.permute(3, 0, 1, 2).float(), **kind)
        mean, std = (self._torch.tensor(values)[:, None, None, None] for values in (_MEAN, _STD))
        video = (video - mean) / std
        return video.reshape(video.shape[0], clips, -1, *video.shape[2:]).transpose(0, 1)
