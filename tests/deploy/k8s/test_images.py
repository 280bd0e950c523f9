"""Containerfiles: what they copy is there, what they install is pinned, what they run works. No image is built."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from executors.tensorrt_kind import ENGINES_VARIABLE
from executors.torch_kind import FP8, NETWORK_VARIABLE, PRECISION_VARIABLE, WEIGHTS_VARIABLE
from export.engines.command import add_commands
from tests.deploy.k8s import images
from tests.deploy.k8s.manifests import BUILDS, GPU_OVERLAYS, ROOT, SERVING, config_map, container, one, overlay, pods

INSTALLING = ("orchestrator", "triton-cpu", "triton-gpu", "triton-torch", "engine-builder")
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)( ; .+)? \\$")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    """Package -> version of an image's requirements."""
    lines = (images.CONTAINERS / f"{name}.requirements.txt").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := _PIN.match(line))}


def wanted(name: str) -> dict[str, str]:
    """What pyproject.toml, or the image's own list, asks for."""
    if (images.CONTAINERS / f"{name}.in").exists():
        lines = (images.CONTAINERS / f"{name}.in").read_text().splitlines()
    else:
        extra = {"orchestrator": "service", "triton-cpu": "triton"}[name]
        lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]
    plain = [re.sub(r"\[.*\]", "", line) for line in lines if line and not line.startswith("#")]
    return dict(line.split("==") for line in plain)


def test_there_is_an_image_for_every_name_that_a_pod_uses() -> None:
    used = set()
    for name in (*SERVING, *BUILDS, "torch"):
        for pod in pods(overlay(name)):
            used |= {item["image"] for item in [*pod.get("initContainers", []), *pod["containers"]]}
            used |= {entry["image"]["reference"] for entry in pod["volumes"] if "image" in entry}
    names = {re.sub(r".*/chameleon-([a-z0-9-]+)@.*", r"\1", image) for image in used}
    assert {"weights" if name.startswith("weights-") else name for name in names} == set(images.NAMES)


@pytest.mark.parametrize("name", images.NAMES)
def test_what_is_copied_is_in_the_repository(name: str) -> None:
    for source, _ in images.copies(name):
        assert (ROOT / source).exists() or name == "weights", source


@pytest.mark.parametrize("name", images.NAMES)
def test_the_linter_has_nothing_to_say(name: str) -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert linter is not None, "hadolint is missing: pip install .[deploy]"
    done = subprocess.run(
        [linter, images.CONTAINERS / f"{name}.Containerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", INSTALLING)
def test_packages_are_pinned_as_the_project_has_them_and_hashed(name: str) -> None:
    """`make lock` writes these files; a version changed elsewhere is seen here."""
    text = (images.CONTAINERS / f"{name}.requirements.txt").read_text()
    entries = re.split(r"\n(?=[a-z])", text.partition("\n#")[2].partition("\n")[2])
    assert all("--hash=sha256:" in entry for entry in entries if entry.strip())
    assert wanted(name).items() <= pins(name).items()


def test_versions_that_meet_in_an_engine_or_a_graph_are_the_same_everywhere() -> None:
    """TensorRT, its driver and CUDA's bindings build and load engines; the rest is the development environment's."""
    builder, triton = pins("engine-builder"), pins("triton-gpu")
    assert "torch" not in builder, "the image's own, with whatever it brings"
    shared = builder.keys() & triton.keys()
    assert {"tensorrt-cu13", "tensorrt-cu13-libs", "tensorrt-cu13-bindings", "cuda-bindings", "numpy"} <= shared
    assert {name: builder[name] for name in shared} == {name: triton[name] for name in shared}
    extras = PROJECT["optional-dependencies"]
    used = (*extras["student"], *extras["export"], *extras["triton"], *extras["fp8"])
    project = dict(line.split("==") for line in used)
    for name, version in {**wanted("engine-builder"), **wanted("triton-gpu"), **wanted("triton-torch")}.items():
        assert version == project.get(name, version)


def test_the_bill_of_materials_names_all_that_images_install(tmp_path: Path) -> None:
    """What `make sbom` writes."""
    (line,) = re.findall(r"syft (scan .+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    target = tmp_path / "sbom.spdx.json"
    arguments = line.replace("out/sbom.spdx.json", str(target)).split()
    done = subprocess.run(
        [Path(sys.executable).parent / "syft", *arguments],
        env={"SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = {(package["name"], package.get("versionInfo")) for package in json.loads(target.read_text())["packages"]}
    assert set().union(*(pins(name).items() for name in INSTALLING)) <= listed


@pytest.mark.parametrize("name", INSTALLING)
def test_nothing_is_installed_without_its_hash(name: str) -> None:
    installs = [value for word, value in images.instructions(name) if word == "RUN" and "pip install" in value]
    (command,) = installs
    words = shlex.split(command)
    assert {"--require-hashes", "--no-deps", "--no-cache-dir"} <= set(words)


@pytest.mark.parametrize("name", INSTALLING)
def test_images_run_as_the_pods_user_in_the_pods_folder(name: str) -> None:
    pod = next(pods(overlay("cpu")))
    (user,) = [value for word, value in images.last_stage(name) if word == "USER"]
    assert user == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert {item["workingDir"] for item in [*pod["initContainers"], *pod["containers"]]} == {images.workdir(name)}


@pytest.mark.parametrize("name", images.NAMES)
def test_base_images_are_the_builders_choice_by_digest(name: str) -> None:
    """No tag in the file: whoever builds names a digest."""
    sources = [value.split()[0] for word, value in images.instructions(name) if word == "FROM"]
    assert set(sources) <= {"${PYTHON_IMAGE}", "${TRITON_IMAGE}", "${PYTORCH_IMAGE}", "scratch"}


def test_the_orchestrators_image_holds_no_torch_and_no_executor() -> None:
    assert not {"torch", "onnxruntime", "tritonserver", "nvidia-pytriton"} & pins("orchestrator").keys()
    copied = {source for source, _ in images.copies("orchestrator")}
    assert not copied & {"executors", "student", "training"}


def test_the_service_needs_nothing_but_what_its_image_holds(tmp_path: Path) -> None:
    """Started from the copied tree alone, engine and traces included; every package it loads is in the requirements."""
    images.build_tree("orchestrator", tmp_path)
    program = """
import json, sys
sys.path = [path for path in sys.path if "site-packages" in path or "lib/python" in path or path.endswith(".zip")]
sys.path.insert(0, sys.argv[1])
import service.__main__, service.app, service.engine.launcher, service.tracing
from service.config import Settings, explain
tops = {name.partition(".")[0] for name in sys.modules}
ours = ("service", "contract", "fashionchameleon.v1")
places = {name: getattr(sys.modules[name], "__file__", None) or "" for name in ours}
print(json.dumps({"modules": sorted(tops), "places": places}))
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert all(place.startswith(str(tmp_path)) for place in told["places"].values() if place)
    owners = {
        name: {owner.lower().replace("_", "-") for owner in found} for name, found in packages_distributions().items()
    }
    # Ours; what OpenTelemetry and grpc take if it is there; what start-up files of the development environment load.
    known = pins("orchestrator").keys() | {"fashionchameleon", "psutil", "grpcio-tools", "setuptools", "coverage"}
    assert not [name for name in told["modules"] if name in owners and not owners[name] & known]


@pytest.mark.parametrize("name", [*GPU_OVERLAYS, *BUILDS])
def test_the_engines_folder_is_named_by_the_tensorrt_that_the_image_has(name: str) -> None:
    version = pins("triton-gpu")["tensorrt-cu13"]
    assert config_map(overlay(name), "chameleon-engines")["ENGINE_KEY"].startswith(f"h200-tensorrt-{version}-")


@pytest.mark.parametrize("name", GPU_OVERLAYS)
def test_engines_are_built_into_the_folder_that_is_served(name: str) -> None:
    serving = one(overlay(name), "Deployment")["spec"]["template"]["spec"]
    building = one(overlay(f"{name}/engine-build"), "Job")["spec"]["template"]["spec"]
    triton, build = container(serving, "triton"), container(building, "build")
    claims = [
        [v["persistentVolumeClaim"] for v in pod["volumes"] if v["name"] == "engines"] for pod in (serving, building)
    ]
    assert claims == [[{"claimName": "chameleon-engines", "readOnly": True}], [{"claimName": "chameleon-engines"}]]
    (read,) = [mount for mount in triton["volumeMounts"] if mount["name"] == "engines"]
    (written,) = [mount for mount in build["volumeMounts"] if mount["name"] == "engines"]
    assert read == written | {"readOnly": True}
    # Outside of the repository, in which Triton takes every folder for a model.
    given = {entry["name"]: entry.get("value") for entry in triton["env"]}
    assert given[ENGINES_VARIABLE] == f"{read['mountPath']}/$(ENGINE_KEY)"
    assert given[ENGINES_VARIABLE] in build["args"]
    names = list(given)
    assert names.index("ENGINE_KEY") < names.index(ENGINES_VARIABLE), "a variable may refer to those before it"
    assert build["env"][0]["name"] == "ENGINE_KEY"
    repository = config_map(overlay(name), "chameleon-settings")["CHAMELEON_MODEL_REPOSITORY"]
    assert f"--model-repository={repository}" in triton["args"]
    assert not Path(read["mountPath"]).is_relative_to(repository)


@pytest.mark.parametrize("name", BUILDS)
def test_the_jobs_command_is_one_that_export_takes(name: str) -> None:
    (pod,) = pods(overlay(name))
    build = container(pod, "build")
    assert build["command"][:3] == ["python3", "-m", "export"]
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(), root=Path("model_repository"))
    options = parser.parse_args([*build["command"][3:], *build["args"]])
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in build["volumeMounts"]}
    assert (options.student, options.root, options.out.parent) == ("5b", mounts["models"], mounts["engines"])
    fp8 = (options.weights, options.network, options.calibration)
    assert [path and path.parent for path in fp8] == [mounts.get("checkpoint")] * 3
    assert options.precision == ("fp8" if "checkpoint" in mounts else "bf16")


def test_pytorchs_pod_names_what_its_executors_read_on_the_checkpoints_volume() -> None:
    pod = one(overlay("torch"), "Deployment")["spec"]["template"]["spec"]
    triton = container(pod, "triton")
    given = {entry["name"]: entry["value"] for entry in triton["env"]}
    (mount,) = [mount for mount in triton["volumeMounts"] if mount["name"] == "checkpoint"]
    for variable in (WEIGHTS_VARIABLE, NETWORK_VARIABLE):
        assert Path(given[variable]).parent == Path(mount["mountPath"])
    assert given[PRECISION_VARIABLE] == FP8
    assert "chameleon-triton-torch@" in triton["image"]
    assert {Path(given[name]).parent for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")} == {Path("/tmp")}


def test_pytorchs_image_holds_all_that_its_executors_are_made_of(tmp_path: Path) -> None:
    images.build_tree("triton-torch", tmp_path)
    program = """
import sys
sys.path.insert(0, "")
import executors.torch_kind
ours = ("contract", "executors", "student")
print(*(module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] in ours and module.__file__))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(file.startswith(str(tmp_path)) for file in done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["configs", "--check"]])
def test_the_builders_image_holds_all_that_the_export_command_is_made_of(arguments: list[str], tmp_path: Path) -> None:
    images.build_tree("engine-builder", tmp_path)
    program = """
import runpy, sys
sys.path.insert(0, "")
sys.argv = ["export", *sys.argv[1:]]
try:
    runpy.run_module("export", run_name="__main__", alter_sys=True)
finally:
    ours = ("contract", "export", "student")
    found = [module for name, module in sys.modules.items() if name.partition(".")[0] in ours]
    print("OURS", *(module.__file__ for module in found if module.__file__), sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    files = done.stdout.partition("OURS\n")[2].split()
    assert files
    assert all(file.startswith(str(tmp_path)) for file in files), files
