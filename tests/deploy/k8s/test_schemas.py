"""Every rendered object against the schemas: two Kubernetes versions, and the custom resources' own types."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.k8s.manifests import K8S, Object, everything, one, overlay
from tests.deploy.k8s.needs import require

VERSIONS = ("1.35", "1.37")
"""The oldest that the overlays are meant for (from it on image volumes are on by default), the newest with schemas."""
CRDS = Path(__file__).parent / "crds"
BY_HAND = (K8S / "components/gateway-envoy/gateway_class.yaml", K8S / "components/weights-pvc/fill.yaml")
"""Applied by themselves, part of no overlay."""
CUSTOM = {
    "gateway.envoyproxy.io",
    "gateway.networking.k8s.io",
    "karpenter.k8s.aws",
    "karpenter.sh",
    "keda.sh",
    "monitoring.coreos.com",
}


def is_custom(item: Object) -> bool:
    return item["apiVersion"].split("/")[0] in CUSTOM


def distinct(*, custom: bool) -> dict[str, Object]:
    """Each object once, however many overlays have it; under the first of them."""
    found: dict[str, Object] = {}
    rendered = {name: overlay(name) for name in everything()}
    by_hand = {path.name: tuple(yaml.safe_load_all(path.read_text())) for path in BY_HAND}
    for name, objects in (rendered | by_hand).items():
        for item in objects:
            if is_custom(item) == custom:
                found.setdefault(json.dumps(item, sort_keys=True, default=str), {"from": name, "object": item})
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_what_kubernetes_takes(version: str) -> None:
    """Strictly: a field that the version does not know is an error."""
    for entry in distinct(custom=False).values():
        kubernetes_validate.validate(entry["object"], version, strict=True)


def test_the_strict_schema_sees_a_misspelt_field() -> None:
    wrong = copy.deepcopy(one(overlay("cpu"), "Deployment"))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.fixture(scope="module")
def installed() -> None:
    """The types and validators, as the lock file has them."""
    there = all(shutil.which(tool) is not None for tool in ("node", "npm"))
    require(there, "node (20 or later) and npm on the path")
    lock = CRDS / "node_modules" / ".package-lock.json"
    if not lock.exists() or lock.stat().st_mtime < (CRDS / "package-lock.json").stat().st_mtime:
        flags = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "ci", *flags], cwd=CRDS, check=True, timeout=240)


def wrong_with(objects: list[Object]) -> str:
    """What tests/deploy/k8s/crds/validate.mjs finds, a line each; empty if nothing."""
    done = subprocess.run(
        ["node", CRDS / "validate.mjs"],
        input=json.dumps(objects),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("installed")
def test_custom_resources_are_of_their_types() -> None:
    rendered = list(distinct(custom=True).values())
    assert {entry["object"]["apiVersion"].split("/")[0] for entry in rendered} == CUSTOM
    assert not wrong_with(rendered)


@pytest.mark.usefixtures("installed")
def test_a_field_too_many_and_one_of_the_wrong_type_are_seen() -> None:
    many, mistyped = (copy.deepcopy(one(overlay("gke-h200"), "ScaledObject")) for _ in range(2))
    many["spec"]["minReplicas"] = 2
    mistyped["spec"]["maxReplicaCount"] = "many"
    found = wrong_with([{"from": "wrong", "object": item} for item in (many, mistyped)])
    assert "'\"minReplicas\"' does not exist" in found
    assert "maxReplicaCount must be integer" in found
