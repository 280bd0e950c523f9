"""The commands and their global options."""

from __future__ import annotations

from typing import Annotated

import typer

from chameleon.cli import resources, tryon
from chameleon.cli.context import Context

app = typer.Typer(
    name="chameleon",
    help="Live garment try-on video: a photo and a garment in, a video out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("try-on")(tryon.try_on)
app.command("capacity")(resources.capacity)
app.add_typer(resources.sessions, name="sessions")
app.add_typer(resources.garments, name="garments")


@app.callback()
def options(
    ctx: typer.Context,
    address: Annotated[
        str, typer.Option(envvar="CHAMELEON_ADDRESS", help="The service, host:port.")
    ] = "127.0.0.1:50051",
    token: Annotated[str | None, typer.Option(envvar="CHAMELEON_TOKEN", help="Bearer token.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS with the system's certificates.")] = False,
    affinity: Annotated[
        str | None,
        typer.Option(envvar="CHAMELEON_AFFINITY", help="Behind a gateway: the server that has it, as results tell."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Standard output is JSON and nothing else.")] = False,
) -> None:
    ctx.obj = Context(address=address, token=token, tls=tls, affinity=affinity, as_json=as_json)
