"""The commands. Their exit statuses are `report.Exit`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from loadtest import outcome, plan
from loadtest.report import Exit
from loadtest.run import Run, Setting
from loadtest.scenario import Scenario, ScenarioError, load
from loadtest.serving import served
from loadtest.store import Store, StoreError
from loadtest.target import Target, TargetError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Load harness of FashionChameleon's API.")

ScenarioFile = Annotated[Path, typer.Argument(help="a YAML file, or the name of one that ships: smoke, steady, ...")]
Out = Annotated[Path, typer.Option(help="folder for the results; must be empty")]
TargetOption = Annotated[str | None, typer.Option("--target", help="HOST:PORT of a running service")]
ServeOption = Annotated[
    str | None,
    typer.Option("--serve", help="or: a command that starts one and says `ready grpc=HOST:PORT metrics=HOST:PORT`"),
]
MetricsOption = Annotated[
    list[str] | None, typer.Option("--metrics", help="HOST:PORT of /metrics to scrape beside; may be repeated")
]
PidOption = Annotated[int | None, typer.Option(help="process of a local service whose memory is watched")]
TlsOption = Annotated[bool, typer.Option("--tls", help="connect by TLS, with the system's certificates")]
CaOption = Annotated[Path | None, typer.Option(help="connect by TLS, with these certificates (PEM)")]
ForceOption = Annotated[bool, typer.Option("--force", help="write into a folder that is not empty")]

console = Console(stderr=True)


@app.callback()
def main() -> None:
    """Load harness of FashionChameleon's API."""


@app.command()
def run(
    scenario: ScenarioFile,
    out: Out,
    target: TargetOption = None,
    serve: ServeOption = None,
    metrics: MetricsOption = None,
    pid: PidOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    force: ForceOption = False,
) -> None:
    """Run a scenario; exit status 0 if all its objectives hold."""
    with _told():
        asked = load(scenario)
        _check_folder(out, force)
        with _setting(out, target, serve, metrics, pid, tls, ca) as setting, Store(out) as store:
            observed = Run(asked, plan.open_loop(asked), setting, store, console).go()
            status = outcome.finish(observed, store, console)
    raise typer.Exit(status)


@contextmanager
def _told() -> Iterator[None]:
    """What a user can do something about is said in a line, not in a trace."""
    try:
        yield
    except ScenarioError as error:
        _fail(error, Exit.WRONG_INPUT)
    except ValueError as error:
        _fail(error, Exit.WRONG_INPUT)
    except TargetError as error:
        _fail(error, Exit.TARGET)
    except StoreError as error:
        _fail(error, Exit.STORAGE)
    except KeyboardInterrupt:
        _fail("interrupted before the run began", Exit.INTERRUPTED)


def _fail(why: object, status: Exit) -> NoReturn:
    console.print(f"[red]error:[/red] {escape(str(why))}", soft_wrap=True, highlight=False)
    raise typer.Exit(status)


@contextmanager
def _setting(
    out: Path,
    target: str | None,
    serve: str | None,
    metrics: list[str] | None,
    pid: int | None,
    tls: bool,
    ca: Path | None,
) -> Iterator[Setting]:
    if (target is None) == (serve is None):
        raise ValueError("exactly one of --target and --serve must be given")
    if serve is not None:
        out.mkdir(parents=True, exist_ok=True)
        with served(serve, out / "service.log") as setting:
            yield Setting(target=setting.target, metrics=(*setting.metrics, *(metrics or ())), pid=pid or setting.pid)
    else:
        assert target is not None
        yield Setting(target=Target(address=target, tls=tls, ca=ca), metrics=tuple(metrics or ()), pid=pid)


def _check_folder(out: Path, force: bool) -> None:
    if not force and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not an empty folder; --force writes into it all the same")


def _scenario(path: Path) -> Scenario:
    return load(path)
