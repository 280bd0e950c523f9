"""Where results are written, as they come: what was seen is kept whatever happens to the run.

Room for the report is set aside at the start and given back at the end, so that a disk that fills up on the way cannot
swallow it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from loadtest.record import RECORD, SessionRecord
from loadtest.report import RunReport
from loadtest.scenario import explained

SESSIONS = "sessions.jsonl"
REPORT = "report.json"
PAGE = "index.html"
_RESERVE = ".reserve"
_RESERVED_BYTES = 16 << 20


class StoreError(Exception):
    """Results cannot be written; says where and why."""


class Results:
    """A folder with room for what is written at the end. A context manager: the room is given back."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            StoreError: the folder cannot be made, or has no room.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / _RESERVE).open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)
        except OSError as error:
            self._release()  # what was set aside of it is room for others
            raise _error(folder, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def write(self, name: str, text: str) -> Path:
        """A whole file, under its name only once it is complete.

        Raises:
            StoreError: it cannot be written.
        """
        self._release()
        return write_whole(self.folder / name, text)

    def _release(self) -> None:
        with suppress(OSError):
            (self.folder / _RESERVE).unlink()


class Store(Results):
    """Of one run: every session is written as it ends."""

    def __init__(self, folder: Path) -> None:
        """See Results."""
        super().__init__(folder)
        try:
            self._sessions = (folder / SESSIONS).open("wb", buffering=0)
        except OSError as error:
            self._release()
            raise _error(folder, error) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.close()
        super().__exit__(kind, error, trace)

    def session(self, record: SessionRecord) -> None:
        """StoreError if it cannot be written."""
        line = RECORD.dump_json(record) + b"\n"
        try:
            written = self._sessions.write(line)
            if written is None or written < len(line):
                raise OSError(f"{written} of {len(line)} bytes were written")
        except OSError as error:
            raise _error(self.folder / SESSIONS, error) from None


def write_whole(path: Path, text: str) -> Path:
    """A file, under its name only once it is complete.

    Raises:
        StoreError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _error(path, error) from None
    return path


def read_report(path: Path) -> RunReport:
    """ValueError if it cannot be read, or is no report."""
    try:
        return RunReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        raise ValueError(
            "\n".join([f"{path} is no run's report:", *(f"  {line}" for line in explained(error))])
        ) from None


def read_sessions(path: Path) -> list[SessionRecord]:
    """The sessions of a run, in the order they ended; a line that was cut off is left out.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    return [RECORD.validate_json(line) for line in lines if line.endswith(b"\n")]


def _error(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be written: {error.strerror or error}")
