"""`python -m benchmarks.stream` against the service over the fake engine."""

import json
from pathlib import Path

from benchmarks import stream
from service.app import App
from tests.client.conftest import app, engine

__all__ = ["app", "engine"]  # fixtures


async def test_two_sessions_are_measured_chunk_by_chunk_and_a_switch_in_the_second(app: App, tmp_path: Path) -> None:
    out = tmp_path / "stream.json"
    options = stream.parse(
        [app.grpc_address, "--out", str(out), "--chunks", "12", "--switch-after", "8", "--format", "RAW"]
    )
    sessions = await stream.measure(options)
    assert [len(session["chunks"]) for session in sessions] == [10, 12]
    first, second = sessions
    assert first["switch"] is None
    assert first["first_frame_s"] == first["chunks"][0]["gap_s"] > 0
    place = second["switch"]["chunk"]
    assert 8 <= place < 12
    assert second["switch"]["first_chunk_s"] > second["switch"]["accepted_s"] > 0
    assert second["steady"]["chunks"] == place - 7
    assert second["steady"]["frames_per_s"] > 0
    stream.write(out, sessions)
    assert json.loads(out.read_text())["sessions"][1]["switch"]["chunk"] == place
