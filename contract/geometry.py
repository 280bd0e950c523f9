"""Sizes of a student. Everything that can be derived is derived; only choices are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

REFERENCE_FRAMES = 1
GARMENT_FRAMES = 1
CONDITION_FRAMES = REFERENCE_FRAMES + GARMENT_FRAMES

ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentGeometry:
    """A student's choices: DiT, latent grid, chunking, window, VAE strides and text length.

    A *latent frame* is one temporal step of the VAE: four video frames, or one at the start of a segment.
    The KV window counts latent frames: reference 1, garment 1, sink, recent; the chunk being generated is
    part of `recent_frames`.
    """

    name: str
    # DiT (model.md section 1; Wan2.2-TI2V names)
    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    freq_dim: int
    text_dim: int
    text_tokens: int
    # latent grid
    latent_channels: int
    latent_height: int
    latent_width: int
    patch_height: int = 2
    patch_width: int = 2
    # VAE strides and streaming-decode caches: [C, 2, H, W] each, two past frames of a causal convolution
    vae_temporal_stride: int = 4
    vae_spatial_stride: int = 16
    decoder_cache_shapes: tuple[tuple[int, int, int, int], ...] = ()
    # streaming
    chunk_frames: int = 3
    sink_frames: int = 3
    recent_frames: int = 18
    frames_per_second: int = 24
    rope_positions: int = 1024
    cache_dtype: str = "float32"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and field.name != "sink_frames" and value < 1:
                raise ValueError(f"{field.name} must be at least 1, got {value}")
        if self.dim % self.num_heads or self.head_dim % 2:
            raise ValueError(f"dim {self.dim} must split into {self.num_heads} heads of even width")
        if self.latent_height % self.patch_height or self.latent_width % self.patch_width:
            raise ValueError(
                f"latent grid {self.latent_height}x{self.latent_width} is no multiple of "
                f"the patch {self.patch_height}x{self.patch_width}"
            )
        # Whole chunks enter and leave the window, so its parts are whole chunks too.
        if self.sink_frames < 0 or self.sink_frames % self.chunk_frames:
            raise ValueError(f"sink_frames {self.sink_frames} must be a multiple of chunk_frames {self.chunk_frames}")
        if self.recent_frames % self.chunk_frames:
            raise ValueError(
                f"recent_frames {self.recent_frames} must be a multiple of chunk_frames {self.chunk_frames}"
            )
        if self.recent_frames < 2 * self.chunk_frames:
            raise ValueError(
                f"recent_frames {self.recent_frames} must hold the chunk being generated and the one before it "
                f"({2 * self.chunk_frames} at least)"
            )
        if self.cache_dtype not in ITEM_BYTES:
            raise ValueError(f"cache_dtype must be one of {sorted(ITEM_BYTES)}, got {self.cache_dtype!r}")

    @property
    def head_dim(self) -> int:
        return self.dim // self.num_heads

    @property
    def tokens_per_frame(self) -> int:
        """N: DiT tokens of one latent frame."""
        return (self.latent_height // self.patch_height) * (self.latent_width // self.patch_width)

    @property
    def frame_height(self) -> int:
        return self.latent_height * self.vae_spatial_stride

    @property
    def frame_width(self) -> int:
        return self.latent_width * self.vae_spatial_stride

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[C, h, w] of one latent frame."""
        return (self.latent_channels, self.latent_height, self.latent_width)

    @property
    def window_frames(self) -> int:
        """W: latent frames attended at most, the current chunk included; also the number of KV slots."""
        return CONDITION_FRAMES + self.sink_frames + self.recent_frames

    @property
    def max_attended_frames(self) -> int:
        """S_max: cached latent frames attended at most, the current chunk excluded."""
        return self.window_frames - self.chunk_frames

    @property
    def kv_slot_bytes(self) -> int:
        """Bytes of one latent frame's keys and values over all layers."""
        return 2 * self.num_layers * self.tokens_per_frame * self.dim * ITEM_BYTES[self.cache_dtype]

    def video_frames(self, *, first_chunk_of_segment: bool) -> int:
        """Video frames that one chunk decodes to: the first latent of a segment stands for a single frame."""
        frames = self.chunk_frames * self.vae_temporal_stride
        return frames - (self.vae_temporal_stride - 1) if first_chunk_of_segment else frames

    def attended_lengths(self) -> tuple[int, ...]:
        """Every S a chunk's passes can see: conditions alone, then one chunk more each time until full."""
        return tuple(range(CONDITION_FRAMES, self.max_attended_frames + 1, self.chunk_frames))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudentGeometry:
        """Read what `to_json` wrote; unknown or missing fields are a ValueError that names them."""
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown geometry fields: {', '.join(sorted(unknown))}")
        values = dict(data)
        values["decoder_cache_shapes"] = tuple(tuple(shape) for shape in values.get("decoder_cache_shapes", ()))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"incomplete geometry: {error}") from error


WAN_5B = StudentGeometry(
    name="5b",
    dim=3072,
    ffn_dim=14336,
    num_heads=24,
    num_layers=30,
    freq_dim=256,
    text_dim=4096,
    text_tokens=512,
    latent_channels=48,
    latent_height=80,
    latent_width=44,
    cache_dtype="bfloat16",
)
"""The paper's backbone, Wan2.2-TI2V-5B, at 1280x704 portrait."""
