"""Models that are not installed here: each says what it lacks, and none is stood in for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from curation import config as spec
from curation.models.cast import ConfiguredCast
from curation.models.fast_vqa import FastVqaScorer
from curation.models.installed import ModelMissing, require
from curation.models.q_align import QAlignScorer
from curation.models.qwen_image_edit import QwenImageEditDresser
from curation.models.unimatch import UniMatchMeter
from curation.models.yolo import YoloCounter

NOWHERE = Path("/nowhere")


def test_a_model_without_its_weights_names_them_and_tells_how_to_get_them() -> None:
    with pytest.raises(ModelMissing, match=r"q-align needs its weights.*/nowhere\. Download q-future/one-align"):
        QAlignScorer.check(spec.QAlign(kind="q-align", weights=NOWHERE))
    with pytest.raises(ModelMissing, match=r"qwen-image-edit.*/nowhere/model_index\.json.*Qwen/Qwen-Image-Edit"):
        QwenImageEditDresser.check(spec.QwenImageEdit(kind="qwen-image-edit", weights=NOWHERE))
    with pytest.raises(ModelMissing, match=r"unimatch.*/nowhere/unimatch/unimatch\.py.*autonomousvision/unimatch"):
        UniMatchMeter.check(spec.UniMatch(kind="unimatch", repository=NOWHERE, weights=NOWHERE))


def test_a_model_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in {"ultralytics", "fastvqa"} else name)
    with pytest.raises(ModelMissing, match="yolov8-seg needs the package ultralytics"):
        YoloCounter.check(spec.Yolo(kind="yolo", weights=NOWHERE))
    with pytest.raises(ModelMissing, match="fast-vqa-m needs the package fastvqa"):
        FastVqaScorer.check(spec.FastVqa(kind="fast-vqa-m", options=NOWHERE, weights=NOWHERE))


def test_what_is_there_is_not_complained_about(tmp_path: Path) -> None:
    require("x", packages=("numpy",), paths=(tmp_path,), advice="")


def test_a_role_that_nobody_fills_is_nobody_s() -> None:
    drawn = spec.Drawn(kind="drawn")
    models = spec.Models(
        person=None, flow=None, aesthetics=None, quality=None, captioner=drawn, inspector=drawn, dresser=drawn
    )
    cast = ConfiguredCast(spec.Config(models=models), NOWHERE)
    cast.check("person", "flow", "captioner")
    assert (cast.person, cast.flow, cast.aesthetics, cast.quality) == (None, None, None, None)


def test_simulation_is_named_so_in_every_ledger() -> None:
    drawn = spec.Drawn(kind="drawn")
    models = spec.Models(
        person=drawn, flow=None, aesthetics=drawn, quality=drawn, captioner=drawn, inspector=drawn, dresser=drawn
    )
    cast = ConfiguredCast(spec.Config(models=models), NOWHERE)
    roles = (cast.person, cast.aesthetics, cast.quality, cast.captioner, cast.inspector, cast.dresser)
    assert all(role is not None and "simulation" in role.name for role in roles)


class Detector:
    """Stands for `ultralytics.YOLO`: what it is asked, and masks that cover given shares of the picture."""

    def __init__(self, weights: str) -> None:
        self.asked: dict[str, Any] = {}

    def predict(self, pictures: list[Any], **options: Any) -> list[Any]:
        self.asked = {"pictures": pictures, **options}
        masks = torch.zeros(2, 10, 10)
        masks[0, :5] = 1
        masks[1, 0, 0] = 1
        return [SimpleNamespace(masks=SimpleNamespace(data=masks)), SimpleNamespace(masks=None)]


def test_persons_are_counted_by_their_masks_and_tiny_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Detector))
    counter = YoloCounter(spec.Yolo(kind="yolo", weights=NOWHERE, smallest_share=0.02, device="cpu"))
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[..., 0] = 255
    assert counter.persons(None, frames) == [1, 0]  # type: ignore[arg-type]
    # Blue first, as the package expects arrays.
    assert counter._model.asked["pictures"][0][0, 0].tolist() == [0, 0, 255]
    assert counter._model.asked["classes"] == [0]
