"""The reference rollout as a driver. Scripts with a common opening fork after it, so that it is sampled once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from contract.geometry import StudentGeometry
from evaluation.drive.script import Clip, Opening, Picture, Script
from evaluation.metrics.arrays import Frames
from student.rollout import LatentStream, VideoStream, philox_noise
from student.student import Student
from training.captions import contexts

Stream = TypeVar("Stream", LatentStream, VideoStream)


@torch.no_grad()
def text_context(student: Student, prompt: str) -> Tensor:
    """[1, T, D_text] of a prompt.

    Raises:
        ValueError: the prompt has more tokens than the student reads.
    """
    return contexts(student.text_encoder, [prompt], length=student.geometry.text_tokens, device=torch.device("cpu"))


def fork(stream: Stream, student: Student) -> Stream:
    """A copy of the stream's state, to go on with apart; the networks stay one."""
    shared = (student.network, student.vae, student.geometry)
    return copy.deepcopy(stream, {id(part): part for part in shared})


class ReferenceDriver:
    """`student/rollout.py`, one session at a time.

    Args:
        degradation: denoising passes left out, as a service does that falls behind.

    Raises:
        ValueError: the student reads another tokenizer's ids.
    """

    def __init__(self, student: Student, *, degradation: int = 0) -> None:
        if student.tokenizer != "bytes":
            raise ValueError(f"the student's tokenizer is {student.tokenizer!r}; known: 'bytes'")
        self._student, self._degradation = student, degradation

    @property
    def geometry(self) -> StudentGeometry:
        return self._student.geometry

    def play(self, scripts: Sequence[Script]) -> list[Clip]:
        clips: dict[int, Clip] = {}
        openings = {id(script.opening): script.opening for script in scripts}
        for key, opening in openings.items():
            mine = [(place, script) for place, script in enumerate(scripts) if id(script.opening) == key]
            clips |= self._play_opening(opening, mine)
        return [clips[place] for place in range(len(scripts))]

    def _play_opening(self, opening: Opening, scripts: list[tuple[int, Script]]) -> dict[int, Clip]:
        """Walk the common chunks once; where a script switches, it goes on with a copy of the stream."""
        stream = self._start(opening)
        common: list[Frames] = []
        clips: dict[int, Clip] = {}
        for chunk in range(max(script.chunks for _, script in scripts) + 1):
            for place, script in scripts:
                switches = script.switch is not None and script.switch.chunk == chunk
                if switches or (script.switch is None and script.chunks == chunk):
                    rest = self._after_switch(fork(stream, self._student), script) if switches else []
                    clips[place] = _clip([*common, *rest])
            if len(clips) == len(scripts):
                return clips
            common.append(stream.chunk().numpy())
        raise AssertionError("every script ends or switches")

    def _after_switch(self, stream: VideoStream, script: Script) -> list[Frames]:
        switch = script.switch
        assert switch is not None
        context = None if switch.prompt is None else text_context(self._student, switch.prompt)
        stream.switch(_tensor(switch.garment), switch.policy, context)
        return [stream.chunk().numpy() for _ in range(script.chunks - switch.chunk)]

    def _start(self, opening: Opening) -> VideoStream:
        student = self._student
        latents = LatentStream(
            student.network,
            student.geometry,
            noise=philox_noise(opening.seed),
            schedule=student.schedule,
            left_out=self._degradation,
        )
        return VideoStream(
            latents,
            student.vae,
            person=_tensor(opening.person),
            garment=_tensor(opening.garment),
            text_context=text_context(student, opening.prompt),
        )


def _clip(chunks: list[Frames]) -> Clip:
    ends = np.cumsum([len(chunk) for chunk in chunks])
    return Clip(frames=np.concatenate(chunks), starts=(0, *(int(end) for end in ends[:-1])))


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture))
