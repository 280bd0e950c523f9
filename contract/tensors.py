"""Names, types and shapes at the engine's border, and the manifest of the model repository.

Two borders: the *graphs* (ONNX files, TensorRT engines) and the *models* that Triton serves. A model's requests name
cache slots and positions; the cache itself stays in the arena. Shapes leave out the batch dimension that
`Model.max_batch_size > 0` adds; -1 is a dimension that varies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from contract.geometry import StudentGeometry
from contract.schedule import DenoisingSchedule

STUDENT = "student"
VAE_ENCODER = "vae_encoder"
VAE_DECODER = "vae_decoder"
TEXT_ENCODER = "text_encoder"
MODELS = (TEXT_ENCODER, VAE_ENCODER, STUDENT, VAE_DECODER)

MANIFEST_FILE = "manifest.json"
MANIFEST_VERSION = 1


class Executor(StrEnum):
    """What computes behind Triton."""

    ONNXRUNTIME = "onnxruntime"
    """On the host: the arena's blocks lie in shared memory and outlive the process."""
    TENSORRT = "tensorrt"
    TORCH = "torch"


class DType(StrEnum):
    """Triton's names."""

    FP32 = "FP32"
    UINT8 = "UINT8"
    INT32 = "INT32"
    INT64 = "INT64"
    BYTES = "BYTES"


class Operation(IntEnum):
    """What a request to a model with arena state asks for."""

    RUN = 0
    CLEAR = 1
    """Zero the block: nothing of one tenant's session may reach another's."""
    PROBE = 2
    """Add one to the model's probe cell in the arena's header: shows that both sides see the same memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    name: str
    dtype: DType
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as Triton serves it. `probe_cell` is its place in the arena header, if it has arena state; `instances`
    is how many processes serve it side by side."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int = 0
    instances: int = 1
    probe_cell: int | None = None


def models(geometry: StudentGeometry) -> tuple[Model, ...]:
    """Every model of the repository, at the geometry's shapes."""
    return (_student(geometry), _vae_decoder(geometry), _vae_encoder(geometry), _text_encoder(geometry))


def _student(geometry: StudentGeometry) -> Model:
    text = (geometry.text_tokens, geometry.text_dim)
    return Model(
        name=STUDENT,
        max_batch_size=4,
        probe_cell=0,
        inputs=(
            Tensor(name="latent", dtype=DType.FP32, shape=(-1, *geometry.latent_shape)),
            Tensor(name="timestep", dtype=DType.FP32, shape=(-1,)),
            Tensor(name="position", dtype=DType.INT64, shape=(-1,)),
            Tensor(name="past_position", dtype=DType.INT64, shape=(-1,)),
            Tensor(name="move", dtype=DType.INT32, shape=(-1, 2)),
            Tensor(name="write_slot", dtype=DType.INT32, shape=(1,)),
            *_arena_inputs(),
            # Sent with the prefill, kept in the block, used by every pass from then on.
            Tensor(name="text_context", dtype=DType.FP32, shape=text, optional=True),
        ),
        outputs=(Tensor(name="flow", dtype=DType.FP32, shape=(-1, *geometry.latent_shape)),),
    )


def _vae_decoder(geometry: StudentGeometry) -> Model:
    frame = (geometry.frame_height, geometry.frame_width, 3)
    return Model(
        name=VAE_DECODER,
        # Not batched: two sessions decode side by side.
        instances=2,
        probe_cell=1,
        inputs=(
            Tensor(name="latent", dtype=DType.FP32, shape=(-1, *geometry.latent_shape)),
            Tensor(name="read_bank", dtype=DType.INT32, shape=(1,)),
            Tensor(name="write_bank", dtype=DType.INT32, shape=(1,)),
            *_arena_inputs(),
        ),
        outputs=(Tensor(name="frames", dtype=DType.UINT8, shape=(-1, *frame)),),
    )


def _vae_encoder(geometry: StudentGeometry) -> Model:
    frame = (geometry.frame_height, geometry.frame_width, 3)
    return Model(
        name=VAE_ENCODER,
        max_batch_size=4,
        inputs=(Tensor(name="image", dtype=DType.UINT8, shape=frame),),
        outputs=(Tensor(name="latent", dtype=DType.FP32, shape=geometry.latent_shape),),
    )


def _text_encoder(geometry: StudentGeometry) -> Model:
    tokens = (geometry.text_tokens,)
    return Model(
        name=TEXT_ENCODER,
        max_batch_size=4,
        inputs=(
            Tensor(name="input_ids", dtype=DType.INT64, shape=tokens),
            Tensor(name="attention_mask", dtype=DType.INT64, shape=tokens),
        ),
        outputs=(Tensor(name="text_context", dtype=DType.FP32, shape=(*tokens, geometry.text_dim)),),
    )


def _arena_inputs() -> tuple[Tensor, ...]:
    return (
        Tensor(name="arena", dtype=DType.BYTES, shape=(1,)),
        Tensor(name="block", dtype=DType.INT32, shape=(1,)),
        Tensor(name="operation", dtype=DType.INT32, shape=(1,)),
    )


def past_names(layer: int) -> tuple[str, str]:
    """The student graph's cached keys and values of a layer, [B, S*N, H, D] each."""
    return f"past_k_{layer}", f"past_v_{layer}"


def new_names(layer: int) -> tuple[str, str]:
    """The student graph's new keys and values of a layer, [B, F*N, H, D] each."""
    return f"new_k_{layer}", f"new_v_{layer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What lies in a model repository: the student's geometry and schedule, and its files with their digests.

    Attributes:
        tokenizer: `byte_tokenizer.NAME` (nano), or the name of a tokenizer file beside the text encoder.
        files: path relative to the repository -> sha256.
        made: how the files came to be (command, seed, versions), for people.
        executor: what the models compute with.
    """

    geometry: StudentGeometry
    schedule: DenoisingSchedule
    tokenizer: str
    files: Mapping[str, str]
    made: Mapping[str, Any]
    executor: Executor = Executor.ONNXRUNTIME

    def to_json(self) -> dict[str, Any]:
        return {
            "version": MANIFEST_VERSION,
            "geometry": self.geometry.to_json(),
            "schedule": asdict(self.schedule),
            "tokenizer": self.tokenizer,
            "files": dict(self.files),
            "made": dict(self.made),
        } | ({} if self.executor is Executor.ONNXRUNTIME else {"executor": self.executor.value})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Read what `to_json` wrote; raises ValueError for another version or missing parts."""
        if data.get("version") != MANIFEST_VERSION:
            raise ValueError(f"manifest version {data.get('version')!r} is not {MANIFEST_VERSION}")
        try:
            schedule = data["schedule"]
            return cls(
                geometry=StudentGeometry.from_json(data["geometry"]),
                schedule=DenoisingSchedule(steps=tuple(schedule["steps"]), shift=schedule["shift"]),
                tokenizer=data["tokenizer"],
                files=data["files"],
                made=data["made"],
                executor=Executor(data.get("executor", Executor.ONNXRUNTIME)),
            )
        except KeyError as error:
            raise ValueError(f"the manifest lacks {error}") from error

    @classmethod
    def read(cls, repository: Path) -> Manifest:
        """The manifest of a model repository folder; raises FileNotFoundError or ValueError."""
        return cls.from_json(json.loads((repository / MANIFEST_FILE).read_text()))
