"""What all commands share: the service's address, and how results and errors are told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console

from chameleon.client import AsyncChameleon
from chameleon.errors import ChameleonError

T = TypeVar("T")

SERVICE_ERROR = 1
USAGE_ERROR = 2
INTERRUPTED = 130

_PIPE_COLUMNS = 200  # names are not cut where nothing limits a line


def _out() -> Console:
    """Prints labels and paths as they are: nothing in them is markup."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, markup=False, emoji=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The global options. `as_json`: standard output is JSON and nothing else."""

    address: str
    token: str | None
    tls: bool
    affinity: str | None
    as_json: bool
    out: Console = field(default_factory=_out)
    err: Console = field(default_factory=lambda: Console(stderr=True))

    def run(self, work: Callable[[AsyncChameleon], Awaitable[T]]) -> T:
        """Run `work` with a client; what goes wrong becomes one line and an exit code."""

        async def connected() -> T:
            async with AsyncChameleon(
                self.address, token=self.token, tls=self.tls, affinity=self.affinity
            ) as chameleon:
                return await work(chameleon)

        try:
            return asyncio.run(connected())
        except ChameleonError as error:
            self._fail(error)
        except (OSError, ValueError) as error:
            self.tell(str(error))
            raise typer.Exit(USAGE_ERROR) from error
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    def show(self, value: Any, human: Callable[[], Any]) -> None:
        """A result: as JSON, or as what `human` makes of it for rich."""
        if self.as_json:
            typer.echo(json.dumps(to_json(value)))
        else:
            self.out.print(human())

    def _fail(self, error: ChameleonError) -> NoReturn:
        if self.as_json:
            typer.echo(json.dumps({"error": error_json(error)}))
        self.tell(readable(error))
        raise typer.Exit(SERVICE_ERROR) from error

    def tell(self, line: str) -> None:
        """Something went wrong: a line on standard error."""
        self.err.print(f"chameleon: {line}", style="red", markup=False, highlight=False, soft_wrap=True)


def readable(error: ChameleonError) -> str:
    """One line; the service's messages name field and limit."""
    hint = "" if error.retry_after_s is None else f" (try again in {error.retry_after_s:.0f} s)"
    return f"{error.reason or error.code.name}: {' '.join(error.message.split())}{hint}"


def error_json(error: ChameleonError) -> dict[str, Any]:
    return {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "violations": to_json(error.violations),
        "retry_after_s": error.retry_after_s,
        "resource": error.resource,
    }


def to_json(value: Any) -> Any:
    """Dataclasses as objects, enums by name, times as ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value
