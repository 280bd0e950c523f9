"""The examples run as they are."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import av
import pytest

from service.app import App
from tests.client.conftest import png

ROOT = Path(__file__).parents[2]


async def start(example: str, *arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "client" / "examples" / "python" / example),
        *map(str, arguments),
        env={"PYTHONPATH": f"{ROOT / 'client/src'}:{ROOT / 'proto/gen'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(example: str, *arguments: str | Path) -> str:
    process = await start(example, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in ("person", "shirt", "coat")]
    for value, path in enumerate(paths):
        path.write_bytes(png(value))
    return paths


async def test_try_on_writes_a_video_with_a_switch(app: App, pictures: list[Path], tmp_path: Path) -> None:
    out = await run("try_on.py", *pictures, tmp_path / "clip.mp4", app.grpc_address)
    assert "from frame" in out
    assert "completed" in out
    with av.open(str(tmp_path / "clip.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 12 * 8 - 1


async def test_live_receives_two_sessions_at_once(app: App, pictures: list[Path]) -> None:
    out = await run("live.py", *pictures, app.grpc_address)
    assert len(out.splitlines()) == 2
    assert "frames" in out


@pytest.mark.parametrize("example", ["try_on.py", "live.py"])
async def test_without_arguments_they_tell_their_usage(example: str) -> None:
    process = await start(example)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out) == (1, b"")
    assert err.decode().rstrip().endswith("[ADDRESS]")
