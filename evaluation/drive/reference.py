"""The reference rollout as a driver. Scripts with a common opening fork after it, so that it is sampled once."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contract import byte_tokenizer
from contract.geometry import StudentGeometry
from evaluation.drive.script import Clip, Opening, Picture, Script
from evaluation.metrics.arrays import Frames
from student.rollout import LatentStream, VideoStream, philox_noise
from student.student import Student


@torch.no_grad()
def text_context(student: Student, prompt: str) -> Tensor:
    """[1, T, D_text] of a prompt.

    Raises:
        ValueError: the prompt has more tokens than the student reads.
    """
    ids, length = byte_tokenizer.encode(prompt), student.geometry.text_tokens
    if len(ids) > length:
        raise ValueError(f"the prompt has {len(ids)} tokens, and the student reads {length}: {prompt!r}")
    tokens = torch.full((1, length), byte_tokenizer.PAD_ID, dtype=torch.int64)
    tokens[0, : len(ids)] = torch.tensor(ids)
    mask = (torch.arange(length) < len(ids)).long()[None]
    context: Tensor = student.text_encoder(tokens, mask)
    return context


class ReferenceDriver:
    """`student/rollout.py`, one session at a time.

    Raises:
        ValueError: the student reads another tokenizer's ids.
    """

    def __init__(self, student: Student) -> None:
        if student.tokenizer != "bytes":
            raise ValueError(f"the student's tokenizer is {student.tokenizer!r}; known: 'bytes'")
        self._student = student

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
                    rest = self._after_switch(self._fork(stream), script) if switches else []
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
        latents = LatentStream(student.network, student.geometry, noise=philox_noise(opening.seed))
        return VideoStream(
            latents,
            student.vae,
            person=_tensor(opening.person),
            garment=_tensor(opening.garment),
            text_context=text_context(student, opening.prompt),
        )

    def _fork(self, stream: VideoStream) -> VideoStream:
        """A copy of the stream's state; the networks stay one."""
        shared = (self._student.network, self._student.vae, self._student.geometry)
        return copy.deepcopy(stream, {id(part): part for part in shared})


def _clip(chunks: list[Frames]) -> Clip:
    ends = np.cumsum([len(chunk) for chunk in chunks])
    return Clip(frames=np.concatenate(chunks), starts=(0, *(int(end) for end in ends[:-1])))


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture))
