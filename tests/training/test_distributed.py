"""Two processes over gloo train as one does, and their checkpoints are one's checkpoints."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.blobs import BlobSource
from tests.training.together import BATCH, JOBS, train
from training import checkpoints
from training.networks import Networks
from training.place import Place
from training.presets import PAPER_5B, TINY
from training.stage import Scene
from training.stages import teacher_stage

pytestmark = pytest.mark.timeout(600)  # a machine that does something else, too
ROOT = Path(__file__).parents[2]
ALONE = Place(device=torch.device("cpu"))


def _scene(name: str) -> Scene:
    # One process has whole weights, which is no place for mixed precision.
    preset = replace(JOBS[name].preset, bfloat16=False)
    return Scene(preset=preset, source=BlobSource(TINY, BATCH), place=ALONE)


def _start(folder: Path) -> Path:
    """A folder with the weights that the later stages start from."""
    folder.mkdir()
    checkpoints.write_tensors(folder / "teacher.safetensors", teacher_stage(_scene("teacher")).result())
    return folder


def _torchrun(*command: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    address = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    paths = os.pathsep.join(str(ROOT / path) for path in (".", "proto/gen"))
    agent = subprocess.Popen(
        [*torchrun, *address, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = agent.communicate(timeout=250)
    except subprocess.TimeoutExpired:
        agent.terminate()  # and it ends its processes, as it would not if it were killed
        _, errors = agent.communicate(timeout=60)
    assert agent.returncode == 0, errors[-10_000:]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = _start(tmp_path_factory.mktemp("gloo") / "together")
    for kind in ("sharded", "replicated"):  # a second group in one process could meet the first one's keys, and wait
        _torchrun("tests.training.together", str(folder), kind)
    return folder


def _losses(folder: Path, name: str) -> list[float]:
    """The mean over processes, each of which knows its own samples' loss."""
    by_process = torch.tensor(json.loads((folder / f"{name}.json").read_text()))
    return by_process.mean(dim=0).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["teacher", "dmd", "replicated"])
def test_two_processes_have_the_losses_of_one(together: Path, tmp_path: Path, name: str) -> None:
    alone = train(name, _start(tmp_path / "alone"), _scene(name))
    assert len(alone) == JOBS[name].steps
    assert _losses(together, name) == pytest.approx(alone, rel=2e-4)


def test_mixed_precision_and_recomputed_blocks_have_nearly_the_same_losses(together: Path, tmp_path: Path) -> None:
    alone = train("large", _start(tmp_path / "alone"), _scene("large"))
    assert _losses(together, "large") == pytest.approx(alone, rel=3e-2)


def test_one_process_goes_on_where_two_stopped(together: Path, tmp_path: Path) -> None:
    straight = train("teacher", _start(tmp_path / "alone"), _scene("teacher"), until=6)
    found = checkpoints.latest(together / "teacher")
    assert found is not None
    assert found[1] == JOBS["teacher"].steps
    continued = train("teacher", together, _scene("teacher"), until=6)
    assert continued == pytest.approx(straight[3:], rel=2e-4)


def test_the_5b_preset_is_refused_where_weights_are_whole() -> None:
    networks = Networks.untrained(TINY, ALONE.device)
    with pytest.raises(ValueError, match="use torchrun"):
        ALONE.ready(networks.network, PAPER_5B)
