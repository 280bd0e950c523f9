"""What an engine's steps take: a YAML file that says where its figures come from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from contract.geometry import WAN_5B, StudentGeometry
from contract.schedule import DenoisingSchedule
from contract.tensors import Manifest
from service.core.simulation import StepTimes

Origin = Literal["measured", "computed floor, not measured"]
REPOSITORY = Path(__file__).parent.parent / "model_repository"


class Closed(BaseModel):
    """Every input: unknown fields are refused, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Times(Closed):
    """Seconds on the engine."""

    open_s: PositiveFloat = Field(description="pictures and prompt of a new session")
    encode_s: PositiveFloat = Field(description="a switch's garment; also the last frame as the new reference")
    prefill_s: PositiveFloat = Field(description="one pass over reference and garment")
    pass_s: PositiveFloat = Field(description="one denoising or clean pass with a full window")
    decode_s: PositiveFloat = Field(description="one chunk of latents to frames")


class EngineProfile(Closed):
    """An engine that a pod holds."""

    name: str = Field(min_length=1)
    origin: Origin = Field(description="repeated by every output")
    source: str = Field(min_length=1, description="where the figures were taken from")
    student: Literal["5b", "embedded"] = Field(description="whose geometry; embedded: of model_repository/")
    times: Times
    one_device: bool = Field(description="denoising and decoding share one device: a single step at a time")
    keeps_sessions: bool = Field(description="the arena outlives a restart of tritonserver")

    def geometry(self) -> StudentGeometry:
        return WAN_5B if self.student == "5b" else Manifest.read(REPOSITORY).geometry

    def schedule(self) -> DenoisingSchedule:
        return DenoisingSchedule() if self.student == "5b" else Manifest.read(REPOSITORY).schedule

    @property
    def chunk_s(self) -> float:
        """Playing time of a chunk."""
        geometry = self.geometry()
        return geometry.video_frames(first_chunk_of_segment=False) / geometry.frames_per_second

    @property
    def chunk_cost_s(self) -> float:
        """What a chunk takes the engine under full load, as the service measures it at its start."""
        student_s, decoder_s = len(self.schedule().passes()) * self.times.pass_s, self.times.decode_s
        return student_s + decoder_s if self.one_device else max(student_s, decoder_s)

    def step_times(self) -> StepTimes:
        times = self.times
        return StepTimes(
            encode_s=times.encode_s,
            prefill_s=times.prefill_s,
            pass_s=times.pass_s,
            decode_s=times.decode_s,
            one_device=self.one_device,
        )
