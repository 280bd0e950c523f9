"""The service through another language's stock client."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import av
import pytest

from chameleon import AsyncChameleon
from service.app import App
from tests.client.conftest import png

EXAMPLE = Path(__file__).parents[2] / "client" / "examples" / "node"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="needs node (20 or later) and npm on the path"
)


async def run(*command: str | Path) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=EXAMPLE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 240)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A person, a shirt and a coat."""
    paths = {tmp_path / "person.png": 50, tmp_path / "shirt.png": 10, tmp_path / "coat.png": 99}
    for path, value in paths.items():
        path.write_bytes(png(value))
    return list(paths)


@pytest.fixture
async def installed() -> None:
    """The example's packages, as its lock file has them."""
    lock = EXAMPLE / "node_modules" / ".package-lock.json"
    if lock.exists() and lock.stat().st_mtime >= (EXAMPLE / "package-lock.json").stat().st_mtime:
        return
    code, _, err = await run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    if code and any(sign in err for sign in ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN")):
        pytest.skip("needs the npm registry, for npm ci")
    assert code == 0, err


@needs_node
async def test_the_example_switches_and_writes_a_playable_video(
    app: App, installed: None, pictures: list[Path], tmp_path: Path
) -> None:
    code, out, err = await run("node", "try-on.mjs", app.grpc_address, *pictures, tmp_path / "clip.mp4", "11.8")
    assert code == 0, err
    summary = json.loads(out)
    with av.open(str(tmp_path / "clip.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == summary["frames"]
    assert (tmp_path / "clip.mp4").stat().st_size == summary["bytes"]
    assert summary["reason"] == "END_REASON_COMPLETED"
    assert summary["videoSeconds"] >= 11.8
    async with AsyncChameleon(app.grpc_address) as chameleon:
        assert summary["seed"] == str((await chameleon.get_session(summary["session"])).seed)  # all of its 64 bits
    assert 0 < summary["switch"]["firstFrame"] < summary["frames"]
    assert summary["switch"]["acceptedSeconds"] <= summary["switch"]["firstFrameReceivedSeconds"]


@needs_node
async def test_the_example_tells_errors_in_one_line(app: App, installed: None, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.png"
    nothing.write_bytes(b"no picture")
    code, out, err = await run("node", "try-on.mjs", app.grpc_address, *[nothing] * 3, tmp_path / "clip.mp4")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("INVALID_ARGUMENT: person.data")
    assert not (tmp_path / "clip.mp4").exists()


@needs_node
@pytest.mark.parametrize("missing", ["coat.png", "nowhere/clip.mp4"])
async def test_a_file_that_is_not_there_is_told_in_one_line(
    app: App, installed: None, pictures: list[Path], tmp_path: Path, missing: str
) -> None:
    if missing == "coat.png":
        pictures[2].unlink()
    out_path = tmp_path / ("clip.mp4" if missing == "coat.png" else missing)
    code, out, err = await run("node", "try-on.mjs", app.grpc_address, *pictures, out_path, "2")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("ERROR: ENOENT")
    assert missing in line
