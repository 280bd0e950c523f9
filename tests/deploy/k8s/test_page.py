"""docs/kubernetes.md: the files that it names are there, the commands of ours in it are real."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.k8s.manifests import BUILDS, K8S, ROOT, one, overlay

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
NAMED = sorted(set(re.findall(r"(?<![\w/.*])(?:deploy|tests|components|overlays/[a-z0-9-]+)/[\w./-]*\w", PAGE)))


@pytest.mark.parametrize("path", NAMED)
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists() or (K8S / path).exists()


@pytest.mark.parametrize("line", re.findall(r"^ *(chameleon .+)$", PAGE, re.MULTILINE))
def test_the_clients_commands_and_options_are_those_it_has(line: str) -> None:
    words = shlex.split(line)
    command = next(word for word in words[1:] if not word.startswith("-"))
    before, after = words[1 : words.index(command)], words[words.index(command) + 1 :]
    for arguments, given in (([], before), ([command], after)):
        told = _help(arguments)
        assert [word for word in given if word.startswith("--") and word not in told] == []


def _help(arguments: list[str]) -> str:
    program = Path(sys.executable).parent / "chameleon"
    done = subprocess.run([program, *arguments, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_jobs_name_is_the_one_that_is_waited_for() -> None:
    (name,) = {one(overlay(build), "Job")["metadata"]["name"] for build in BUILDS if "/" in build}
    assert f"job/{name}" in PAGE
    assert f"delete job {name} " in PAGE
