"""The policy scan of what is rendered: checkov, with the exceptions that deploy/k8s/checkov.yaml argues."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.k8s.manifests import K8S, Object, everything, one, overlay
from tests.deploy.k8s.needs import require

CHECKOV = shutil.which("checkov", path=str(Path(sys.executable).parents[1] / "checkov" / "bin"))


def scan(folder: Path) -> dict[str, Any]:
    require(CHECKOV is not None, "checkov in a virtual environment of its own: make k8s")
    assert CHECKOV is not None
    command = [CHECKOV, "--directory", folder, "--config-file", K8S / "checkov.yaml", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def write(folder: Path, name: str, objects: tuple[Object, ...]) -> None:
    (folder / f"{name.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(objects))


def test_the_scan_finds_nothing_but_in_a_pod_that_is_privileged(tmp_path: Path) -> None:
    """One scan, as it takes seconds to start: all that is rendered, and one thing that it must find."""
    for name in everything():
        write(tmp_path, name, overlay(name))
    wrong = json.loads(json.dumps(one(overlay("cpu"), "Deployment")))
    wrong["metadata"]["name"] = "wrong"
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    write(tmp_path, "wrong", (wrong,))
    told = scan(tmp_path)
    failed = told["results"]["failed_checks"]
    assert {(Path(check["file_path"]).name, check["check_id"]) for check in failed} == {("wrong.yaml", "CKV_K8S_16")}
    assert told["summary"]["passed"] > 100
