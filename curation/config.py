"""`curation.yaml`: which models judge, and what they must find. Refused with all that is wrong with it.

The paper gives no figure for most limits. Those of `single_person`, `flow`, `aesthetics` and `quality` are ours; look
at the report's spread of scores before you trust them with your videos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Mark = Annotated[int, Field(ge=1, le=5)]
"""Of an inspector: 1 (wrong) to 5 (right)."""
Attempts = Annotated[int, Field(ge=1, le=20)]


class ConfigError(ValueError):
    """All that is wrong with a configuration, one line each."""


class Model(BaseModel):
    """A frozen value that refuses unknown fields, infinities and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Limits(Model):
    """What a score must be, both ends included."""

    least: float | None = None
    most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.least is None and self.most is None:
            raise ValueError("least or most must be given")
        return self

    def hold(self, score: float) -> bool:
        """A score that is not a number never does."""
        above = self.least is None or score >= self.least
        return above and (self.most is None or score <= self.most) and score == score


class Drawn(Model):
    """Simulation for tests: answers come from the drawn world's truth, not from a model."""

    kind: Literal["drawn"]


class Dis(Model):
    """OpenCV's dense inverse search; no weights."""

    kind: Literal["dis"] = "dis"


class Yolo(Model):
    kind: Literal["yolo"]
    weights: Path = Field(description="yolov8?-seg.pt")
    confidence: float = Field(default=0.5, gt=0, lt=1)
    smallest_share: float = Field(default=0.01, ge=0, lt=1, description="of the picture; smaller persons do not count")
    device: str = "cuda"


class UniMatch(Model):
    kind: Literal["unimatch"]
    repository: Path = Field(description="a checkout of autonomousvision/unimatch")
    weights: Path = Field(description="gmflow-scale2-regrefine6-mixdata-*.pth")
    device: str = "cuda"


class QAlign(Model):
    kind: Literal["q-align"]
    weights: Path = Field(description="a folder with q-future/one-align")
    device: str = "cuda"


class FastVqa(Model):
    kind: Literal["fast-vqa-m"]
    options: Path = Field(description="options/fast/fast-m.yml of VQAssessment/FAST-VQA-and-FasterVQA")
    weights: Path = Field(description="its FAST-VQA-M weights")
    device: str = "cuda"


class QwenImageEdit(Model):
    kind: Literal["qwen-image-edit"]
    weights: Path = Field(description="a folder with Qwen/Qwen-Image-Edit-2509 or newer, in diffusers' layout")
    steps: int = Field(default=40, ge=1)
    device: str = "cuda"


class Endpoint(Model):
    """A served model that speaks OpenAI's HTTP protocol, as vLLM's servers do."""

    kind: Literal["endpoint"]
    url: str = Field(pattern=r"^https?://", description="up to /v1")
    model: str = Field(min_length=1)
    key_env: str | None = Field(default=None, description="the variable that holds the key, where one is asked for")
    timeout_s: float = Field(default=120.0, gt=0)
    retries: int = Field(default=2, ge=0, description="of a request that fails or is refused for now")
    concurrency: int = Field(default=4, ge=1, le=256, description="requests at the same time")


class Models(Model):
    """Who fills each role. A filter's role that is null is not judged, and the ledger says so."""

    person: Annotated[Yolo | Drawn, Field(discriminator="kind")] | None
    flow: Annotated[Dis | UniMatch, Field(discriminator="kind")] | None = Dis()
    aesthetics: Annotated[QAlign | Drawn, Field(discriminator="kind")] | None
    quality: Annotated[FastVqa | Drawn, Field(discriminator="kind")] | None
    captioner: Annotated[Endpoint | Drawn, Field(discriminator="kind")]
    inspector: Annotated[Endpoint | Drawn, Field(discriminator="kind")]
    dresser: Annotated[QwenImageEdit | Endpoint | Drawn, Field(discriminator="kind")]


class Scenes(Model):
    """PySceneDetect's ContentDetector, and the subclips' length."""

    threshold: float = Field(default=27.0, gt=0, le=255)
    shortest_scene_s: float = Field(default=0.6, gt=0, description="cuts that follow sooner are one")
    shortest_s: float = Field(default=3.0, gt=0)
    longest_s: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest_s < self.shortest_s:
            raise ValueError("longest_s must not be below shortest_s")
        return self


class Filter(Model):
    """
    Attributes:
        single_person: share of the frames looked at with exactly one person.
        flow: mean length of the optical flow, in picture diagonals a second.
        aesthetics: Q-Align's scale, 1 to 5.
        quality: FAST-VQA-M's, 0 to 1.
        duplicate_bits: clips of other videos whose frames' perceptual hashes (64 bits each) differ in fewer
            bits on average are the same; null: not looked for.
    """

    frames: int = Field(default=8, ge=2, le=64, description="that each model looks at")
    single_person: Limits = Limits(least=1.0)
    flow: Limits = Limits(least=0.005)
    aesthetics: Limits = Limits(least=3.0)
    quality: Limits = Limits(least=0.4)
    duplicate_bits: float | None = Field(default=5.0, gt=0, le=32)


class CaptionRules(Model):
    frames: int = Field(default=8, ge=1, le=64)
    attempts: Attempts = 3


class GarmentRules(Model):
    """Least marks of the garment's picture: the right garment, its texture, and nothing that is no garment."""

    attempts: Attempts = 3
    semantics: Mark = 4
    texture: Mark = 4
    context: Mark = 4


class ReferenceRules(Model):
    """Least marks of the reference: the garment suits the person, is worn, and all else is as it was.

    Attributes:
        candidates: garments that are looked at for one that is compatible.
        differ: least distance between two garments' pictures (see `retrieval`), so that they are not the same.
    """

    attempts: Attempts = 3
    candidates: int = Field(default=8, ge=1)
    differ: float = Field(default=0.1, ge=0, le=1)
    compatible: Mark = 4
    garment: Mark = 4
    rest: Mark = 4


class Review(Model):
    required: bool = Field(default=False, description="only triplets that a person accepted go into the manifest")


class Config(Model):
    """The whole file."""

    models: Models
    scenes: Scenes = Scenes()
    filter: Filter = Filter()
    caption: CaptionRules = CaptionRules()
    garment: GarmentRules = GarmentRules()
    reference: ReferenceRules = ReferenceRules()
    review: Review = Review()
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=4, ge=1, le=256, description="clips at the same time")
    give_up_after: int = Field(default=8, ge=1, description="clips whose models fail, one after the other")

    def decisive(self) -> dict[str, object]:
        """What decides about clips, as JSON: not where models lie or are reached, and not how fast the work goes."""
        content = self.model_dump(mode="json", exclude={"workers", "give_up_after", "review"})
        for model in content["models"].values():
            for name in ("url", "key_env", "timeout_s", "retries", "concurrency", "device", "repository"):
                (model or {}).pop(name, None)
            for name in ("weights", "options"):
                if model and name in model:
                    model[name] = Path(model[name]).name
        return content


def load(path: Path) -> Config:
    """
    Raises:
        ConfigError: the file cannot be read, or breaks a rule; every field and its limit is named.
    """
    try:
        return Config.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from None
    except ValidationError as error:
        faults = (
            f"  {'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise ConfigError("\n".join([f"{path}:", *faults])) from None
