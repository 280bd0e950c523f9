"""The trained networks: built from a preset, started as a transformer should, kept in one safetensors file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from contract.byte_tokenizer import encode
from student.checkpoint import load, same_name
from student.dit import CausalDiT, DiTConfig
from student.text import TextEncoder
from training.captions import Tokenize, contexts
from training.draws import seed_of
from training.presets import Preset

NETWORK = "network."
TEXT_ENCODER = "text_encoder."
_EMBEDDING_STD = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Backbone and text encoder, with what gives its ids."""

    network: CausalDiT
    text_encoder: TextEncoder
    tokenize: Tokenize = encode

    @classmethod
    def untrained(cls, preset: Preset, device: torch.device, *, tokenize: Tokenize = encode) -> Networks:
        """Weights drawn from the preset's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(preset.seed, "networks"))
            network = CausalDiT(DiTConfig.of(preset.geometry))
            _initialise(network)
            text_encoder = TextEncoder(preset.text.build())
        return cls(network=network.to(device), text_encoder=text_encoder.to(device), tokenize=tokenize)

    @classmethod
    def load(
        cls,
        preset: Preset,
        weights: Path,
        device: torch.device,
        *,
        text: Path | None = None,
        tokenize: Tokenize = encode,
    ) -> Networks:
        """What a stage left behind in `weights`; the text encoder from `text`, if it was never trained here.

        Raises:
            FileNotFoundError, CheckpointError: if a file is missing or of another size.
        """
        networks = cls.untrained(preset, device, tokenize=tokenize)
        load(networks.network, weights, prefix=NETWORK if holds(weights, NETWORK) else "")
        if text is None:
            load(networks.text_encoder, weights, prefix=TEXT_ENCODER, rename=same_name)
        else:
            load(networks.text_encoder.encoder, text, rename=same_name)
        return networks

    def context(self, captions: Sequence[str], preset: Preset) -> Tensor:
        """[B, T, D_text] of captions."""
        device = self.network.patch_embedding.weight.device
        length = preset.geometry.text_tokens
        return contexts(self.text_encoder, captions, length=length, device=device, tokenize=self.tokenize)

    def frozen(self) -> Networks:
        """Itself, out of reach of any optimiser."""
        self.network.requires_grad_(False)
        self.text_encoder.requires_grad_(False)
        return self


def holds(weights: Path, prefix: str) -> bool:
    """Whether a safetensors file has keys that start with the prefix."""
    if not weights.is_file():
        return False
    with safe_open(weights, framework="pt") as file:
        return any(key.startswith(prefix) for key in file.keys())  # noqa: SIM118 - not a mapping


def _initialise(network: CausalDiT) -> None:
    """As Wan does it, Xavier for matrices and small embeddings, but for a head that begins as a way through.

    At the student's noise levels flow is mostly the noise that came in, so the first flow is the input itself: patches
    are embedded at right angles, and the head reads them back. What has to be learnt is the clean video alone.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    for embedding in (*network.text_embedding, *network.time_embedding):
        if isinstance(embedding, nn.Linear):
            nn.init.normal_(embedding.weight, std=_EMBEDDING_STD)
    config = network.config
    embedding = network.patch_embedding.weight.flatten(1)  # [dim, C * ph * pw]
    # Tokens of unit variance, which the head's norm leaves as they are.
    gain = max(1.0, math.sqrt(config.dim / embedding.shape[1]))
    with torch.no_grad():
        nn.init.orthogonal_(embedding, gain=gain)
        back = embedding.T.unflatten(0, (config.channels, -1)).transpose(0, 1).flatten(0, 1)  # [ph * pw * C, dim]
        network.head.head.weight.copy_(back / gain**2)
