"""Why a command ended before it was through: an exit status, and words for whoever can do something about it."""

from __future__ import annotations

import psutil

from loadtest.report import Exit
from loadtest.store import StoreError
from loadtest.target import TargetError


class RunCut(Exception):
    """One run of several could not be judged; `status` is the command's."""

    def __init__(self, why: str, status: Exit) -> None:
        super().__init__(why)
        self.status = status


ENDINGS = (RunCut, TargetError, StoreError, ValueError, OSError, psutil.Error, KeyboardInterrupt)
"""Everything else is a fault of our own and keeps its trace."""
FAULT = "a fault of the harness itself"


def ending(error: BaseException) -> tuple[Exit, str]:
    """What one of ENDINGS means."""
    match error:
        case RunCut():
            return error.status, str(error)
        case TargetError() | psutil.Error():
            return Exit.TARGET, str(error)
        case KeyboardInterrupt():
            return Exit.INTERRUPTED, "interrupted"
        case ValueError():
            return Exit.WRONG_INPUT, str(error)
        case _:
            return Exit.STORAGE, str(error)
