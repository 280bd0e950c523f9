"""Try-off and try-on by Qwen-Image-Edit through `diffusers`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from PIL import Image

from curation.clip import View
from curation.config import QwenImageEdit
from curation.frames import Rgb
from curation.models import instructions
from curation.models.installed import package, require
from curation.models.pictures import decoded, fitted
from curation.roles import Garment


class QwenImageEditDresser:
    name: ClassVar[str] = "qwen-image-edit"

    def __init__(self, config: QwenImageEdit, *, seed: int) -> None:
        self._torch, self._lock = package(self.name, "torch"), threading.Lock()
        self._config, self._seed = config, seed
        pipeline = package(self.name, "diffusers").QwenImageEditPlusPipeline
        self._pipeline = pipeline.from_pretrained(config.weights, torch_dtype=self._torch.bfloat16).to(config.device)
        self._pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def check(cls, config: QwenImageEdit) -> None:
        """ModelMissing, without loading anything."""
        index = config.weights / "model_index.json"
        advice = "Download Qwen/Qwen-Image-Edit-2509 or newer"
        require(cls.name, packages=("torch", "diffusers", "transformers"), paths=(index,), advice=advice)

    def take_off(self, view: View, *, attempt: int) -> Rgb:
        return self._edit(instructions.TAKE_OFF, [view.first], attempt)

    def put_on(self, view: View, garment: Garment, *, attempt: int) -> Rgb:
        pictures = [view.first, decoded(garment.picture.read_bytes())]
        edited = self._edit(instructions.PUT_ON.format(type=garment.type), pictures, attempt)
        return fitted(edited, view.clip.height, view.clip.width)

    def _edit(self, prompt: str, pictures: Sequence[Rgb], attempt: int) -> Rgb:
        with self._lock:
            made = self._pipeline(
                image=[Image.fromarray(picture) for picture in pictures],
                prompt=prompt,
                negative_prompt=" ",
                true_cfg_scale=4.0,
                num_inference_steps=self._config.steps,
                generator=self._torch.Generator("cpu").manual_seed(self._seed + attempt),
            )
        return np.asarray(made.images[0].convert("RGB"))
