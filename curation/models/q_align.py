"""Aesthetics by Q-Align (one-align) through `transformers` and the code that comes with its weights."""

from __future__ import annotations

import threading
from typing import ClassVar

from PIL import Image

from curation.clip import View
from curation.config import QAlign
from curation.frames import Frames
from curation.models.installed import package, require


class QAlignScorer:
    """1 (bad) to 5 (excellent)."""

    name: ClassVar[str] = "q-align"

    def __init__(self, config: QAlign) -> None:
        self._torch, self._lock = package(self.name, "torch"), threading.Lock()
        loader = package(self.name, "transformers").AutoModelForCausalLM
        self._model = loader.from_pretrained(
            config.weights,
            trust_remote_code=True,
            attn_implementation="eager",
            torch_dtype=self._torch.float16,
            device_map=config.device,
        )

    @classmethod
    def check(cls, config: QAlign) -> None:
        """ModelMissing, without loading anything."""
        advice = "Download q-future/one-align; its code was written for transformers 4.36"
        require(cls.name, packages=("torch", "transformers"), paths=(config.weights,), advice=advice)

    def score(self, view: View, frames: Frames) -> float:
        pictures = [Image.fromarray(frame) for frame in frames]
        with self._lock, self._torch.inference_mode():
            return float(self._model.score([pictures], task_="aesthetics", input_="video")[0])
