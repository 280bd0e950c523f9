"""One kind of sessions: when they come, how long they last, what they wear, and how their readers behave."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadtest.arrivals import Arrivals
from loadtest.model import Model

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class FixedLength(Model):
    """Every session as long as the other."""

    distribution: Literal["fixed"]
    seconds: Seconds


class UniformLength(Model):
    """Any length between two."""

    distribution: Literal["uniform"]
    low_s: Seconds
    high_s: Seconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high_s < self.low_s:
            raise ValueError(f"high_s must be at least low_s ({self.low_s:g}), got {self.high_s:g}")
        return self


class LognormalLength(Model):
    """Many short ones and a few long ones; none longer than `at_most_s`."""

    distribution: Literal["lognormal"]
    median_s: Seconds
    sigma: float = Field(gt=0, le=3)
    at_most_s: Seconds


Length = Annotated[FixedLength | UniformLength | LognormalLength, Field(discriminator="distribution")]


class SwitchesAt(Model):
    """At these times, from the session's first frame on."""

    when: Literal["at"]
    seconds: list[Seconds] = Field(min_length=1, max_length=1000)


class SwitchesEvery(Model):
    """Again and again, from the session's first frame on."""

    when: Literal["every"]
    seconds: Seconds


class SwitchesAtRandom(Model):
    """With exponential gaps, from the session's first frame on."""

    when: Literal["random"]
    mean_interval_s: Seconds


Switches = Annotated[SwitchesAt | SwitchesEvery | SwitchesAtRandom, Field(discriminator="when")]


class PromptReader(Model):
    """Reads what comes, when it comes."""

    behaviour: Literal["prompt"] = "prompt"


class SlowReader(Model):
    """Takes `speed` seconds of video a second, and leaves after the session's length of waiting time."""

    behaviour: Literal["slow"]
    speed: float = Field(gt=0, lt=1)


class AbandoningReader(Model):
    """Is gone without a word, so many seconds behind the first frame."""

    behaviour: Literal["abandoning"]
    after_s: Seconds


class ReconnectingReader(Model):
    """Loses its stream every so often, and comes back for the rest."""

    behaviour: Literal["reconnecting"]
    every_s: Seconds
    away_s: float = Field(gt=0, le=60)


Reader = Annotated[PromptReader | SlowReader | AbandoningReader | ReconnectingReader, Field(discriminator="behaviour")]


class Kind(Model):
    """Sessions of one kind, and when they come."""

    name: Name
    arrivals: Arrivals
    scales: bool = Field(default=True, description="whether --scale multiplies its arrivals")
    length: Length
    switches: Switches | None = None
    reader: Reader = PromptReader(behaviour="prompt")
    person: Path = Field(description="a picture, relative to the scenario's file")
    garments: list[Path] = Field(min_length=1, max_length=64, description="the first is worn first")
    upload: Literal["before", "with_session"] = Field(
        default="before", description="whether the first garment is known to the service or comes with CreateSession"
    )
    prompt: str = Field(default="She turns around.", min_length=1, max_length=1000)
    format: Literal["h264", "jpeg", "raw"] = "h264"
    pacing: Literal["realtime", "unpaced"] = "realtime"
    tenants: list[Name] | None = Field(default=None, description="by name; all of them if left out")
