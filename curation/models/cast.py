"""Who plays which role, as the configuration says."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from curation import config as spec
from curation.drawn import cast as drawn
from curation.flow import DenseInverseSearch
from curation.models.endpoint import EndpointCaptioner, EndpointDresser, EndpointInspector
from curation.models.fast_vqa import FastVqaScorer
from curation.models.q_align import QAlignScorer
from curation.models.qwen_image_edit import QwenImageEditDresser
from curation.models.unimatch import UniMatchMeter
from curation.models.yolo import YoloCounter
from curation.roles import Captioner, Dresser, FlowMeter, Inspector, PersonCounter, Scorer

_CHECKS: dict[type, Any] = {
    spec.Yolo: YoloCounter.check,
    spec.UniMatch: UniMatchMeter.check,
    spec.QAlign: QAlignScorer.check,
    spec.FastVqa: FastVqaScorer.check,
    spec.QwenImageEdit: QwenImageEditDresser.check,
    spec.Endpoint: EndpointInspector.check,
}


class ConfiguredCast:
    """Loads a model when its role is first asked for, and keeps it."""

    def __init__(self, config: spec.Config, videos: Path) -> None:
        self._models, self._seed, self._videos = config.models, config.seed, videos

    def check(self, *roles: str) -> None:
        """
        Raises:
            ModelMissing: a model of these roles is not here.
        """
        for role in roles:
            model = getattr(self._models, role)
            if check := _CHECKS.get(type(model)):
                check(model)

    @cached_property
    def person(self) -> PersonCounter | None:
        match self._models.person:
            case spec.Yolo() as model:
                return YoloCounter(model)
            case spec.Drawn():
                return drawn.DrawnCounter(self._videos)
            case None:
                return None

    @cached_property
    def flow(self) -> FlowMeter | None:
        match self._models.flow:
            case spec.UniMatch() as model:
                return UniMatchMeter(model)
            case spec.Dis():
                return DenseInverseSearch()
            case None:
                return None

    @cached_property
    def aesthetics(self) -> Scorer | None:
        match self._models.aesthetics:
            case spec.QAlign() as model:
                return QAlignScorer(model)
            case spec.Drawn():
                return drawn.DrawnScorer(self._videos, "aesthetics")
            case None:
                return None

    @cached_property
    def quality(self) -> Scorer | None:
        match self._models.quality:
            case spec.FastVqa() as model:
                return FastVqaScorer(model)
            case spec.Drawn():
                return drawn.DrawnScorer(self._videos, "quality")
            case None:
                return None

    @cached_property
    def captioner(self) -> Captioner:
        match self._models.captioner:
            case spec.Endpoint() as model:
                return EndpointCaptioner(model, seed=self._seed)
            case spec.Drawn():
                return drawn.DrawnCaptioner(self._videos)

    @cached_property
    def inspector(self) -> Inspector:
        match self._models.inspector:
            case spec.Endpoint() as model:
                return EndpointInspector(model, seed=self._seed)
            case spec.Drawn():
                return drawn.DrawnInspector(self._videos)

    @cached_property
    def dresser(self) -> Dresser:
        match self._models.dresser:
            case spec.QwenImageEdit() as model:
                return QwenImageEditDresser(model, seed=self._seed)
            case spec.Endpoint() as model:
                return EndpointDresser(model, seed=self._seed)
            case spec.Drawn():
                return drawn.DrawnDresser(self._videos)
