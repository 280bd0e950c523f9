"""The cpu overlay's pod, run for real: commands, environment, volumes and probes as the manifest states them.

Processes in namespaces of their own: a network that has nothing but loopback, the image's folders read-only where the
image has them, a read-only root, /dev/shm and /tmp of the manifest's sizes, the manifest's user without capabilities.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.deploy.k8s.manifests import ROOT, one, overlay
from tests.deploy.k8s.needs import require

NAMESPACES = ("unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--")
LIMIT_S = 280


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What tests/deploy/k8s/pod_life.py tells."""
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False)
    require(tried.returncode == 0, "user, network, mount and process namespaces (unshare)")
    paths = f"{ROOT}:{ROOT / 'proto/gen'}:{ROOT / 'client/src'}"
    folder = tmp_path_factory.mktemp("pod")
    log = folder.parent / "pod.log"
    with log.open("wb") as errors:
        done = subprocess.run(
            [*NAMESPACES, sys.executable, "-m", "tests.deploy.k8s.pod_life", str(folder)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, log.read_text(errors="replace")[-4000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_pod_becomes_ready_within_its_probes(report: dict[str, Any]) -> None:
    """The sidecar first, then the orchestrator; no container was restarted on the way, no liveness probe failed."""
    assert report["started"].keys() == {"triton", "orchestrator"}
    assert report["liveness_failures"] == 0
    assert report["restarts"]["orchestrator"] == 0


def test_a_session_outlives_a_restart_of_the_sidecar(report: dict[str, Any]) -> None:
    assert report["restarts"]["triton"] == 1
    _whole(report["sidecar_restarted"])


def test_a_session_loses_nothing_when_the_pod_is_terminated(report: dict[str, Any]) -> None:
    """It ends by itself within the drain; new ones are refused meanwhile; the process stays alive to its probe."""
    _whole(report["drained"])
    assert report["new_session"] == "DRAINING"
    assert report["alive_while_draining"]


def test_the_pod_ends_by_itself_within_its_grace_period(report: dict[str, Any]) -> None:
    spec = one(overlay("cpu"), "Deployment")["spec"]["template"]["spec"]
    assert report["terminated"]["codes"]["orchestrator"] == 0
    assert report["terminated"]["codes"]["triton"] in {0, 1}  # 1: its own time for unloading ran out
    assert report["terminated"]["seconds"] < spec["terminationGracePeriodSeconds"]
    assert not [name for name in report["shm"] if name.startswith("chameleon-")]


def _whole(video: dict[str, Any]) -> None:
    """No chunk missing, none twice, and the session ended because its video was complete."""
    assert video["sequences"] == list(range(len(video["sequences"])))
    assert len(video["sequences"]) > 2
    assert video["reason"] == "COMPLETED"
