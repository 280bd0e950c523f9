"""Persons by YOLOv8-Seg through `ultralytics`."""

from __future__ import annotations

import threading
from typing import ClassVar

from curation.clip import View
from curation.config import Yolo
from curation.frames import Frames
from curation.models.installed import package, require

_PERSON = 0
"""Of COCO's classes."""


class YoloCounter:
    name: ClassVar[str] = "yolov8-seg"

    def __init__(self, config: Yolo) -> None:
        self._config, self._lock = config, threading.Lock()
        self._model = package(self.name, "ultralytics").YOLO(str(config.weights))

    @classmethod
    def check(cls, config: Yolo) -> None:
        """ModelMissing, without loading anything."""
        advice = "pip install ultralytics (AGPL-3.0), and download yolov8x-seg.pt"
        require(cls.name, packages=("ultralytics",), paths=(config.weights,), advice=advice)

    def persons(self, view: View, frames: Frames) -> list[int]:
        # The package takes pictures as OpenCV has them, blue first.
        pictures = [frame[..., ::-1].copy() for frame in frames]
        with self._lock:
            results = self._model.predict(
                pictures, classes=[_PERSON], conf=self._config.confidence, device=self._config.device, verbose=False
            )
        return [self._count(result) for result in results]

    def _count(self, result: object) -> int:
        """Masks cover a person's pixels: tiny ones are of passers-by far away."""
        masks = result.masks  # type: ignore[attr-defined]
        if masks is None:
            return 0
        shares = masks.data.float().mean(dim=(1, 2)).tolist()
        return sum(share >= self._config.smallest_share for share in shares)
