"""Sessions, garments and capacity on the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from chameleon.cli.context import Context
from chameleon.types import Capacity, Garment, Pacing, SessionInfo

T = TypeVar("T")

sessions = typer.Typer(help="Sessions of this caller.", no_args_is_help=True)
garments = typer.Typer(help="Garments of this caller.", no_args_is_help=True)

SessionName = Annotated[str, typer.Argument(help="sessions/{session}")]
GarmentName = Annotated[str, typer.Argument(help="garments/{garment}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    deleted: str


@sessions.command("list")
def list_sessions(ctx: typer.Context) -> None:
    """List sessions, newest first; ended ones for five minutes, 256 at most. Behind a gateway, one server's."""
    context: Context = ctx.obj
    found = context.run(lambda chameleon: _all(chameleon.list_sessions()))
    context.show(found, lambda: _sessions_table(found))


@sessions.command("get")
def get_session(ctx: typer.Context, name: SessionName) -> None:
    """Look a session up."""
    context: Context = ctx.obj
    session = context.run(lambda chameleon: chameleon.get_session(name))
    context.show(session, lambda: _sessions_table([session]))


@sessions.command("delete")
def delete_session(ctx: typer.Context, name: SessionName) -> None:
    """End a session."""
    context: Context = ctx.obj
    context.run(lambda chameleon: chameleon.delete_session(name))
    context.show(Deleted(deleted=name), lambda: f"ended {name}")


@garments.command("add")
def add_garment(
    ctx: typer.Context,
    picture: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JPEG, PNG or WebP.")],
    name: Annotated[str, typer.Option(help="A label of your own.")] = "",
) -> None:
    """Upload a garment; the same picture gives the same garment."""
    context: Context = ctx.obj
    garment = context.run(lambda chameleon: chameleon.create_garment(picture, display_name=name))
    context.show(garment, lambda: _garments_table([garment]))


@garments.command("list")
def list_garments(ctx: typer.Context) -> None:
    """List garments, newest first. Behind a gateway, one server's."""
    context: Context = ctx.obj
    found = context.run(lambda chameleon: _all(chameleon.list_garments()))
    context.show(found, lambda: _garments_table(found))


@garments.command("get")
def get_garment(ctx: typer.Context, name: GarmentName) -> None:
    """Look a garment up."""
    context: Context = ctx.obj
    garment = context.run(lambda chameleon: chameleon.get_garment(name))
    context.show(garment, lambda: _garments_table([garment]))


@garments.command("delete")
def delete_garment(ctx: typer.Context, name: GarmentName) -> None:
    """Forget a garment; sessions that wear it go on."""
    context: Context = ctx.obj
    context.run(lambda chameleon: chameleon.delete_garment(name))
    context.show(Deleted(deleted=name), lambda: f"deleted {name}")


def capacity(
    ctx: typer.Context,
    unpaced: Annotated[bool, typer.Option("--unpaced", help="For sessions that need not keep up with time.")] = False,
) -> None:
    """How many more sessions could open now. Behind a gateway, on one server."""
    context: Context = ctx.obj
    room = context.run(lambda chameleon: chameleon.capacity(Pacing.UNPACED if unpaced else Pacing.REALTIME))
    context.show(room, lambda: _capacity_line(room))


async def _all(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


def _sessions_table(rows: list[SessionInfo]) -> Table:
    affinity = _affinity_column(rows)
    table = Table("session", "state", "opened", "video", "garment", "format", "size", *affinity, box=None)
    for row in rows:
        state = row.state.name.lower() + (f" ({row.end_reason.name.lower()})" if row.end_reason else "")
        table.add_row(
            row.name,
            state,
            _local(row.created),
            f"{row.generated_s:.1f} s",
            row.garment,
            row.format.name.lower(),
            f"{row.width}x{row.height}",
            *(row.affinity for _ in affinity),
        )
    return table


def _garments_table(rows: list[Garment]) -> Table:
    affinity = _affinity_column(rows)
    table = Table("garment", "state", "uploaded", "label", *affinity, box=None)
    for row in rows:
        cells = (row.name, row.state.name.lower(), _local(row.created), row.display_name)
        table.add_row(*cells, *(row.affinity for _ in affinity))
    return table


def _affinity_column(rows: Sequence[SessionInfo | Garment]) -> list[str]:
    """The header of one more column where a gateway told, or none."""
    return ["affinity"] if any(row.affinity for row in rows) else []


def _local(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _capacity_line(room: Capacity) -> str:
    speed = f", real-time factor {room.realtime_factor:.2f}" if room.realtime_factor else ""
    again = "" if room.retry_after_s is None else f"; ask again in {room.retry_after_s:.0f} s"
    where = "" if room.affinity is None else f"; affinity {room.affinity}"
    return f"{room.available} more could open; {room.open} of {room.slots} are open{speed}{again}{where}"
