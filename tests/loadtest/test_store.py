"""Results on disk."""

from pathlib import Path

import pytest

from loadtest.store import SESSIONS, Store, StoreError, read_sessions
from tests.loadtest.conftest import record


def test_sessions_come_back_as_they_were_written(tmp_path: Path) -> None:
    with Store(tmp_path / "new" / "folder") as store:
        store.session(record())
        store.session(record(index=1, cuts_s=(1.0,)))
    assert read_sessions(store.folder / SESSIONS) == [record(), record(index=1, cuts_s=(1.0,))]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.session(record())
        store.session(record(index=1))
    path = tmp_path / SESSIONS
    path.write_bytes(path.read_bytes()[:-10])
    assert read_sessions(path) == [record()]


def test_room_is_set_aside_for_the_report_and_given_back(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        reserved = tmp_path / ".reserve"
        assert reserved.stat().st_size > 1 << 20
        store.write("report.json", "{}")
        assert not reserved.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", SESSIONS}


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        (tmp_path / "report.json.part").symlink_to("/dev/full")
        with pytest.raises(StoreError, match="No space left"):
            store.write("report.json", "{}" * 10_000)
    assert not (tmp_path / "report.json").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file" / "folder")
