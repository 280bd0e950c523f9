"""What is compared: the policies, with and without the phase in the prompt, the controls, and the two bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from contract.cache_plan import Policy
from contract.geometry import StudentGeometry
from evaluation.cases import Case
from evaluation.drive.script import Clip, Driver, Opening, Script, Switch


class Kind(StrEnum):
    SWITCH = "switch"
    NO_SWITCH = "no switch"
    """Control: the session goes on in the old garment."""
    RESTART = "hard restart"
    """Control: a new session of the original reference picture in the new garment."""
    REAL = "real drawings"
    """Bound: what should be shown."""
    RECONSTRUCTION = "VAE reconstruction"
    """Bound: the same through the student's VAE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One row of a report. `phase`: the prompt that comes with the switch tells the motion's phase there."""

    kind: Kind
    policy: Policy | None = None
    phase: bool = True

    def __post_init__(self) -> None:
        if (self.kind is Kind.SWITCH) != (self.policy is not None):
            raise ValueError(f"a condition of the kind {self.kind.value!r} with the policy {self.policy}")

    @property
    def name(self) -> str:
        if self.policy is None:
            return self.kind.value
        return self.policy.value if self.phase else f"{self.policy.value}, no phase in the prompt"


DEFAULT = Condition(kind=Kind.SWITCH, policy=Policy.REFRESH_WITHDRAW_DISENTANGLE)
BOUNDS = (Condition(kind=Kind.REAL), Condition(kind=Kind.RECONSTRUCTION))
CONTROLS = (Condition(kind=Kind.NO_SWITCH), Condition(kind=Kind.RESTART))


def conditions(policies: Sequence[Policy], phases: Sequence[bool]) -> tuple[Condition, ...]:
    """The rows of a switching report, in order.

    With both kinds of prompt, the ones without a phase are tried where they matter: where the last frame alone carries
    the motion over the switch.
    """
    both = len(set(phases)) > 1
    switched = (
        Condition(kind=Kind.SWITCH, policy=policy, phase=phase)
        for phase in phases
        for policy in policies
        if phase or not both or policy.replaces_reference
    )
    return (*BOUNDS, *CONTROLS, *switched)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """How long a session runs before its switch and after it."""

    chunks_before: int = 3
    chunks_after: int = 3

    def __post_init__(self) -> None:
        if self.chunks_before < 1 or self.chunks_after < 2:
            raise ValueError(
                f"{self.chunks_before} chunks before and {self.chunks_after} after the switch: at least one and two"
            )

    @property
    def chunks(self) -> int:
        return self.chunks_before + self.chunks_after

    def opening(self, case: Case) -> Opening:
        """The session begins in the case's garment."""
        sample = case.sample
        return Opening(
            person=sample.reference,
            garment=case.product(sample.garment),
            prompt=case.prompt(0),
            seed=case.session_seed,
        )

    def switch(
        self, case: Case, geometry: StudentGeometry, condition: Condition, opening: Opening | None = None
    ) -> Script:
        """The session with a switch, for a condition of the kind SWITCH."""
        assert condition.policy is not None
        opening = opening or self.opening(case)
        first_frame = Script(opening=opening, chunks=self.chunks_before).starts(geometry)[-1]
        switch = Switch(
            chunk=self.chunks_before,
            garment=case.product(case.sample.other),
            policy=condition.policy,
            prompt=case.prompt_at_switch(first_frame, condition.policy, phase=condition.phase),
        )
        return Script(opening=opening, chunks=self.chunks, switch=switch)

    def play(self, driver: Driver, case: Case, wanted: Sequence[Condition]) -> dict[str, Clip]:
        """The clips of the conditions that a driver can play, by name: not the bounds."""
        geometry, opening = driver.geometry, self.opening(case)
        names, scripts = [], []
        for condition in wanted:
            if condition.kind is Kind.SWITCH:
                names.append(condition.name)
                scripts.append(self.switch(case, geometry, condition, opening))
        rest = {condition.kind for condition in wanted}
        if rest & {Kind.NO_SWITCH, Kind.RESTART}:
            names.append(Kind.NO_SWITCH.value)
            scripts.append(Script(opening=opening, chunks=self.chunks))
        if Kind.RESTART in rest:
            names.append(Kind.RESTART.value)
            scripts.append(Script(opening=self._restarted(case, opening), chunks=self.chunks_after))
        clips = dict(zip(names, driver.play(scripts), strict=True))
        if Kind.RESTART in rest:
            clips[Kind.RESTART.value] = self._joined(clips[Kind.NO_SWITCH.value], clips[Kind.RESTART.value])
        return {condition.name: clips[condition.name] for condition in wanted if condition.name in clips}

    def _restarted(self, case: Case, opening: Opening) -> Opening:
        garment = case.product(case.sample.other)
        return Opening(person=opening.person, garment=garment, prompt=opening.prompt, seed=opening.seed)

    def _joined(self, before: Clip, after: Clip) -> Clip:
        switch_frame = before.starts[self.chunks_before]
        return Clip(
            frames=np.concatenate([before.frames[:switch_frame], after.frames]),
            starts=(*before.starts[: self.chunks_before], *(switch_frame + start for start in after.starts)),
        )
