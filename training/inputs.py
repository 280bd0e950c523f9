"""What each stage of a run reads: what stages before it left in the run's folder, or what the command line names."""

from __future__ import annotations

import argparse
from pathlib import Path

from contract.byte_tokenizer import encode
from training import origin
from training.captions import Tokenize, open_tokenizer
from training.clips import Clips, StreamShape
from training.dataset import shard_path
from training.loop import RESULT
from training.options import CLIPS, LATENTS, RUN, VAE
from training.origin import Origin, check, digest, digest_of
from training.presets import Preset

_BEFORE = {"forcing": "teacher", "dmd": "forcing", "consistency": "forcing"}


class Inputs:
    """Paths are found; that they belong together is what `origin` checks.

    A file that an option names is taken at the caller's word. What lies in the run's folder must say that it was made
    of the same preset, seed and codec.

    Args:
        preset: as the command line changes it.
    """

    def __init__(self, preset: Preset, arguments: argparse.Namespace) -> None:
        self._preset, self._arguments = preset, arguments
        self._common: Origin = {"preset": preset.name, "seed": preset.seed}
        self._out: Path = arguments.out
        self.latents: Path = arguments.data or self._out / LATENTS
        self.codec: Path = arguments.vae or self._out / VAE / RESULT

    @property
    def shards(self) -> int:
        """How many shards of clips or latents count."""
        if self._arguments.shards:
            return int(self._arguments.shards)
        assert self._preset.codec is not None  # the options were checked for it
        return self._preset.codec.shards

    @property
    def stream_shape(self) -> StreamShape:
        assert self._preset.codec is not None
        return StreamShape(latents=self._preset.codec.stream_latents, size=self.size)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return (self._preset.geometry.frame_height, self._preset.geometry.frame_width)

    def clips(self) -> Clips | None:
        """What was drawn before, if anything was.

        Raises:
            FileNotFoundError: if some of it is missing.
            OriginError: if it was drawn for another preset.
        """
        folder = self._out / CLIPS
        if not folder.exists():
            return None
        check(folder, self._common)
        return Clips(folder, range(self.shards))

    def tokenize(self, name: str) -> Tokenize:
        """What gives a stage's text encoder its ids.

        Raises:
            ValueError: the tokenizer's file is none.
        """
        file = self.weights(name).get("tokenizer")
        return encode if file is None else open_tokenizer(file)

    def weights(self, name: str) -> dict[str, Path | None]:
        """The files that a stage starts from, by the options that would name them; None: from nothing."""
        given = self._arguments
        init = given.init if given.stage == name or (given.stage == RUN and name == "teacher") else None
        if name == VAE:
            return {"init": init}
        if name == "reward":
            return {}
        found = {
            "init": init or (self._left_by(_BEFORE[name]) if name in _BEFORE else None),
            "text": given.text,
            "tokenizer": given.tokenizer,
        }
        if name == "dmd":
            found["teacher"] = given.teacher or self._left_by("teacher")
            found["reward"] = None if given.vanilla else given.reward or self._left_by("reward")
        return found

    def origin(self, name: str) -> Origin:
        """All that a stage depends on, but for the preset's numbers.

        Raises:
            FileNotFoundError: if a stage before is not done.
            OriginError: if what it reads was made of something else.
        """
        common = self._common
        if name == CLIPS:
            return common
        if name == LATENTS:
            # Drawn or read from clips, a shard is the same.
            return {**common, "codec": self._digest(self.codec, "vae", common)}
        if name == VAE:
            assert self._preset.codec is not None
            steps = self._preset.codec.steps
            made = {**common, "steps": steps, "init": self._digest(self.weights(name)["init"], "init", common)}
            if (self._out / VAE / RESULT).exists():
                return made  # clips are large, and may go once the codec is done
            return {**made, "clips": self.shards if (self._out / CLIPS).exists() else None}
        latents = digest_of(shard_path(self.latents, number) for number in range(self.shards))
        common = {**common, "codec": self._codec_of_latents()}
        return {
            **common,
            "steps": getattr(self._preset, name).steps,
            "shards": self.shards,
            "latents": latents,
            **{role: self._digest(path, role, common) for role, path in self.weights(name).items()},
        }

    def _codec_of_latents(self) -> str | None:
        """The digest of the codec that made the latents; None: nobody says."""
        recorded = origin.read(self.latents)
        known = self._preset.codec is not None and (self.codec.exists() or self._arguments.vae is not None)
        codec: Origin = {"codec": digest(self.codec)} if known else {}
        if self._preset.codec is not None and self._arguments.data is None:
            check(self.latents, {**self._common, **codec})
        elif recorded is not None:
            check(self.latents, codec)
        found = codec.get("codec", (recorded or {}).get("codec"))
        return None if found is None else str(found)

    def _digest(self, weights: Path | None, option: str, common: Origin) -> str | None:
        """Of a checkpoint, whose folder is asked what made it unless the option named it."""
        if weights is None:
            return None
        found = digest(weights)
        if weights != getattr(self._arguments, option):
            check(weights.parent, common)
        return found

    def _left_by(self, stage: str) -> Path:
        return self._out / stage / RESULT
