"""A running service as a driver, through its public client: raw frames, the same pictures, prompts and seeds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from chameleon import Chameleon, Chunk, MediaFormat, Pacing, Session
from chameleon import Policy as ServicePolicy
from contract.geometry import StudentGeometry
from evaluation.drive.script import Clip, Picture, Script
from evaluation.metrics.arrays import Frames

_TIMEOUT_S = 60.0


class EndpointError(RuntimeError):
    """The service did something else than the script says; the message tells what."""


@dataclass(kw_only=True)
class EndpointDriver:
    """Plays scripts on `HOST:PORT`.

    Args:
        geometry: of the student that the service runs; its frame size and rate are checked.
    """

    address: str
    geometry: StudentGeometry
    chunks: list[Chunk] = field(default_factory=list, init=False, repr=False)
    """Of the last script, with the server's timings."""

    def play(self, scripts: Sequence[Script]) -> list[Clip]:
        with Chameleon(self.address, timeout_s=_TIMEOUT_S) as client:
            return [self._play(client, script) for script in scripts]

    def _play(self, client: Chameleon, script: Script) -> Clip:
        starts, switch = script.starts(self.geometry), script.switch
        rate = self.geometry.frames_per_second
        # Uploaded ahead, so that the switch is known to the service before the first chunk is made.
        garment = client.create_garment(_png(switch.garment)) if switch else None
        opening = client.open_session(
            person=_png(script.opening.person),
            garment=_png(script.opening.garment),
            prompt=script.opening.prompt,
            seed=script.opening.seed,
            format=MediaFormat.RAW,
            pacing=Pacing.UNPACED,
            max_duration_s=starts[-1] / rate,
        )
        with opening as session:
            self._check(session)
            if switch and garment:
                session.switch(
                    garment,
                    prompt=switch.prompt or "",
                    policy=ServicePolicy[switch.policy.name],
                    not_before_s=starts[switch.chunk] / rate,
                )
            self.chunks = list(session)
        self._check_chunks(script, starts)
        frames = np.concatenate([_frames(chunk) for chunk in self.chunks])
        return Clip(frames=frames, starts=starts[:-1])

    def _check(self, session: Session) -> None:
        found = (session.info.height, session.info.width, session.info.frames_per_second)
        want = (self.geometry.frame_height, self.geometry.frame_width, self.geometry.frames_per_second)
        if found != want:
            raise EndpointError(f"{self.address} makes video of (height, width, rate) {found}; the student's is {want}")

    def _check_chunks(self, script: Script, starts: tuple[int, ...]) -> None:
        found = tuple(chunk.first_frame for chunk in self.chunks)
        if found != starts[:-1]:
            raise EndpointError(
                f"{self.address} sent chunks that begin at frames {found}; the script's at {starts[:-1]}"
            )
        applied = [chunk.sequence for chunk in self.chunks if chunk.applied]
        expected = [script.switch.chunk] if script.switch else []
        if applied != expected:
            raise EndpointError(f"{self.address} switched before chunks {applied}, not {expected}")


def _frames(chunk: Chunk) -> Frames:
    return np.frombuffer(chunk.media, np.uint8).reshape(chunk.frame_count, chunk.height, chunk.width, 3)


def _png(picture: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
