"""The pod's curve: what the service's core does at each number of sessions."""

import pytest

from simulation.curve import measure
from tests.simulation.small import ONE_GPU, make_profile, make_scenario


def test_a_session_alone_costs_the_slower_of_two_devices_and_keeps_real_time() -> None:
    idle, alone = measure(
        make_profile(), make_scenario(demand={"median_s": 30}).demand, blocks=1, switch_limit_s=2.0, seed=1
    )
    assert (idle.utilisation, idle.chunks_per_s) == (0.0, 0.0)
    assert alone.cost_s == pytest.approx(0.28, rel=0.05)
    assert alone.chunks_per_s == pytest.approx(1.0, rel=0.1)
    assert alone.late_per_s == 0.0
    assert max(start.first_frame_s for start in alone.starts) < 1.0


def test_two_sessions_on_a_device_for_one_run_late_and_admission_knows() -> None:
    """It counts the sum of denoising and decoding, which share the device."""
    profile = make_profile(**ONE_GPU)
    _, alone, two = measure(
        profile, make_scenario(demand={"median_s": 30}).demand, blocks=2, switch_limit_s=1.0, seed=1
    )
    assert alone.cost_s == pytest.approx(5 * 0.0273 + 0.126, rel=0.05)
    assert int(0.9 * profile.chunk_s / alone.cost_s) == 1
    assert alone.late_per_s == 0.0
    assert two.late_per_s > 0.5 * two.chunks_per_s
