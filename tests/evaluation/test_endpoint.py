"""A running service, driven through its public client, gives the rollout's frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.tensors import Manifest
from demo.local_service import local_service
from evaluation.cases import draw_case
from evaluation.commands.parity import LARGEST_BOUND, MEAN_BOUND, differences
from evaluation.conditions import DEFAULT, Condition, Kind, SessionPlan
from evaluation.drive.endpoint import EndpointDriver, EndpointError
from evaluation.drive.reference import ReferenceDriver
from evaluation.drive.script import Script
from student import nano

REPOSITORY = Path(__file__).parents[2] / "model_repository"
PLAN = SessionPlan(chunks_before=1, chunks_after=2)
WANTED = [DEFAULT, Condition(kind=Kind.NO_SWITCH)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a real service over the repository's graphs."""
    with local_service(tmp_path_factory.mktemp("service"), model_repository=str(REPOSITORY), blocks="2") as service:
        yield service.address


def test_the_service_gives_the_rollouts_frames(address: str) -> None:
    student = nano.load()
    assert Manifest.read(REPOSITORY).geometry == student.geometry, "the graphs are another student's: export it again"
    case = draw_case(3, 0, (student.geometry.frame_height, student.geometry.frame_width))
    drivers = (ReferenceDriver(student), EndpointDriver(address=address, geometry=student.geometry))
    ours, theirs = (PLAN.play(driver, case, WANTED) for driver in drivers)
    for name, mean, largest in differences(ours, theirs, WANTED):
        assert mean <= MEAN_BOUND, name
        assert largest <= LARGEST_BOUND, name
    (default, _) = differences(ours, dict.fromkeys(ours, ours[Kind.NO_SWITCH.value]), WANTED)
    assert default[2] > LARGEST_BOUND, "the bound would not notice a switch that did not take effect"


def test_another_students_size_is_told(address: str) -> None:
    geometry = replace(Manifest.read(REPOSITORY).geometry, latent_height=2)
    case = draw_case(3, 0, (geometry.frame_height, geometry.frame_width))
    with pytest.raises(EndpointError, match="the student's is"):
        EndpointDriver(address=address, geometry=geometry).play([Script(opening=PLAN.opening(case), chunks=1)])
