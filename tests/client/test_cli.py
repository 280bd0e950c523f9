"""The command line against the real service over the fake engine."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import Result
from typer.testing import CliRunner

from chameleon import AsyncChameleon, cli
from chameleon.cli.app import app as command
from service.app import App
from service.engine.fake import Delays, FakeEngine
from tests.client.conftest import BLOCKS, png
from tests.service.runtime.conftest import until

ROOT = Path(__file__).parents[2]
FROM_HERE = {"PYTHONPATH": f"{ROOT / 'client/src'}:{ROOT / 'proto/gen'}"}
FULL_DISK = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from chameleon.cli import main
main()
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, value in {"person": 50, "shirt": 10, "coat": 99}.items():
        (tmp_path / f"{name}.png").write_bytes(png(value))
    return tmp_path


async def chameleon(app: App, *arguments: str | Path) -> Result:
    """Run the command beside the service's event loop."""
    return await asyncio.to_thread(
        CliRunner().invoke, command, ["--address", app.grpc_address, *map(str, arguments)], catch_exceptions=False
    )


async def as_json(app: App, *arguments: str | Path) -> Any:
    result = await chameleon(app, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def try_on(pictures: Path, *more: str | Path) -> list[str | Path]:
    pair = ["--person", pictures / "person.png", "--garment", pictures / "shirt.png"]
    return ["try-on", *pair, "--out", pictures / "clip.mp4", *more]


async def test_try_on_writes_a_playable_video_and_says_where_the_switch_is(app: App, pictures: Path) -> None:
    switches = ["--switch", f"1s={pictures / 'coat.png'}", "--switch", f"5.5={pictures / 'shirt.png'}"]
    result = await chameleon(app, *try_on(pictures, *switches, "--seconds", "12", "--seed", "5"))
    assert result.exit_code == 0, result.stderr
    with av.open(str(pictures / "clip.mp4")) as video:
        frames = sum(1 for _ in video.decode(video=0))
    for said in (f"{frames} frames", "time to first frame", "frames per second", "real-time factor", "at frame"):
        assert said in result.stdout
    assert result.stdout.count("accepted after") == 2
    assert "switched to garments/" in result.stderr


@pytest.mark.parametrize("engine", [FakeEngine(blocks=BLOCKS, delays=Delays(pass_s=0.3))])
async def test_chunks_that_went_without_passes_are_told(app: App, pictures: Path) -> None:
    """Four passes and a clean one take 1.5 s for 1 s of video, as it plays."""
    result = await chameleon(app, *try_on(pictures, "--seconds", "5", "--pacing", "realtime"))
    assert result.exit_code == 0, result.stderr
    (told,) = (line for line in result.stdout.splitlines() if "degraded" in line)
    assert re.search(r"[1-5] of [56] chunks, which would have been late", told), told


async def test_try_on_for_machines_is_one_json_object(app: App, pictures: Path) -> None:
    report = await as_json(
        app, *try_on(pictures, "--switch", f"1s={pictures / 'coat.png'}", "--seconds", "6", "--policy", "keep-motion")
    )
    assert report["out"] == str(pictures / "clip.mp4")
    assert report["end_reason"] == "COMPLETED"
    assert report["session"]["policy"] == "KEEP_MOTION"
    (switch,) = report["switches"]
    assert switch["first_frame"] > 0
    assert switch["accepted_s"] <= switch["applied_s"] <= switch["first_frame_s"]


async def test_try_on_writes_raw_frames(app: App, pictures: Path) -> None:
    report = await as_json(app, *try_on(pictures, "--format", "raw", "--seconds", "2"))
    size = report["frames"] * report["session"]["width"] * report["session"]["height"] * 3
    assert (pictures / "clip.mp4").stat().st_size == size == report["media_bytes"]


async def test_an_error_of_the_service_is_one_line_and_exit_code_1(app: App, pictures: Path) -> None:
    (pictures / "person.png").write_bytes(b"not a picture")
    result = await chameleon(app, *try_on(pictures, "--prompt", "x" * 1001))
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("chameleon: ")
    for said in ("person.data", "prompt", "1000"):
        assert said in line
    assert not (pictures / "clip.mp4").exists()


async def test_an_error_for_machines_is_json(app: App) -> None:
    result = await chameleon(app, "--json", "sessions", "get", "sessions/" + "0" * 32)
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert (error["code"], error["reason"]) == ("NOT_FOUND", "SESSION_NOT_FOUND")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--switch", "soon=coat.png"], "like 2s=coat.png"),
        (["--switch", "2s=nothing.png"], "neither a file nor a garment's name"),
        (["--format", "gif"], "gif"),
        (["--seconds", "2", "--switch", "3s=garments/" + "0" * 32], "beyond the end"),
        (["--out", "/nowhere/clip.mp4"], "/nowhere"),
        (["--seconds", "nan"], "a duration cannot be nan s"),
        (["--seconds", "inf"], "a duration cannot be inf s"),
        (["--seed", str(1 << 64)], "'--seed'"),
    ],
)
async def test_wrong_usage_is_exit_code_2(app: App, pictures: Path, more: list[str], said: str) -> None:
    result = await chameleon(app, *try_on(pictures, *more))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("option", ["--token", "--affinity"])
async def test_what_cannot_be_a_header_is_wrong_usage_and_not_repeated(app: App, option: str) -> None:
    for value in ("geheim-ü", "a\nb"):
        result = await chameleon(app, option, value, "capacity")
        assert result.exit_code == 2
        assert result.stderr.endswith("must be printable ASCII\n")
        assert value not in result.stderr


async def test_a_session_that_ends_early_is_exit_code_1_and_told(app: App, pictures: Path) -> None:
    arguments = try_on(pictures, "--seconds", "600", "--pacing", "realtime")
    running = asyncio.create_task(chameleon(app, *arguments))
    await until((pictures / "clip.mp4").exists)
    # Not by a command beside it: typer's runner stands in for the one standard output.
    async with AsyncChameleon(app.grpc_address) as other:
        await other.delete_session((await anext(other.list_sessions())).name)
    result = await asyncio.wait_for(running, 30)
    assert result.exit_code == 1
    assert "time to first frame" in result.stdout
    assert "ended early, stopped" in result.stderr


async def test_a_disk_that_is_full_is_one_line(app: App, pictures: Path) -> None:
    """Found when the file is closed, if what does not fit was still in its buffer."""
    whole = await as_json(app, *try_on(pictures, "--seconds", "1", "--seed", "5"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FULL_DISK, str(whole["media_bytes"] - 1)),
        *map(str, try_on(pictures, "--seconds", "1", "--seed", "5")),
        env={"CHAMELEON_ADDRESS": app.grpc_address, **FROM_HERE},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (2, b"")
    assert err.decode() == "chameleon: [Errno 27] File too large\n"


async def test_labels_are_shown_as_they_are(app: App, pictures: Path) -> None:
    label = "[bold]coat[/bold] [/x] :smile:"
    added = await chameleon(app, "garments", "add", pictures / "coat.png", "--name", label)
    assert added.exit_code == 0
    assert label in added.stdout


async def test_garments_are_added_listed_found_and_deleted(app: App, pictures: Path) -> None:
    coat = await as_json(app, "garments", "add", pictures / "coat.png", "--name", "coat")
    assert (coat["state"], coat["display_name"]) == ("READY", "coat")
    assert await as_json(app, "garments", "list") == [coat]
    assert await as_json(app, "garments", "get", coat["name"]) == coat
    shown = await chameleon(app, "garments", "list")
    assert coat["name"] in shown.stdout
    assert await as_json(app, "garments", "delete", coat["name"]) == {"deleted": coat["name"]}
    assert await as_json(app, "garments", "list") == []
    assert (await chameleon(app, "garments", "get", coat["name"])).exit_code == 1


async def test_sessions_are_listed_found_and_deleted(app: App, pictures: Path) -> None:
    report = await as_json(app, *try_on(pictures, "--seconds", "1"))
    name = report["session"]["name"]
    (session,) = await as_json(app, "sessions", "list")
    assert (session["name"], session["state"], session["end_reason"]) == (name, "ENDED", "COMPLETED")
    assert await as_json(app, "sessions", "get", name) == session
    shown = await chameleon(app, "sessions", "list")
    assert name in shown.stdout
    assert "ended (completed)" in shown.stdout
    assert (await chameleon(app, "sessions", "delete", name)).stdout == f"ended {name}\n"


async def test_capacity_is_told(app: App) -> None:
    room = await as_json(app, "capacity", "--unpaced")
    assert (room["available"], room["slots"]) == (BLOCKS, BLOCKS)
    assert f"0 of {BLOCKS} are open" in (await chameleon(app, "capacity")).stdout


async def test_the_module_runs_in_a_process_of_its_own(app: App) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "chameleon.cli", "--json", "capacity"),
        env={"CHAMELEON_ADDRESS": app.grpc_address, **FROM_HERE},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err
    assert json.loads(out)["slots"] == BLOCKS


def test_without_its_extra_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "chameleon.cli.app")
    with pytest.raises(SystemExit, match=r"pip install '\./client\[cli\]'"):
        cli.main()
