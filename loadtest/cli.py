"""The commands. Their exit statuses are `report.Exit`."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from loadtest import capacity, outcome, plan, selfcheck, simulate
from loadtest.compare import Change, Tolerance
from loadtest.compare import compare as compared
from loadtest.ending import ENDINGS, FAULT, ending
from loadtest.report import Exit
from loadtest.run import Run
from loadtest.scenario import Scenario, load, scaled
from loadtest.schemas import write_schemas
from loadtest.serving import served
from loadtest.setting import Setting
from loadtest.store import Results, Store, read_report
from loadtest.target import Target, tokens
from loadtest.tell import tell_comparison, tell_proof

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
    scale: Annotated[float, typer.Option(help="times the arrivals of the kinds that scale")] = 1.0,
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
        asked = scaled(load(scenario), scale)
        _check_folder(out, force)
        with _setting(asked, out, target, serve, metrics, pid, tls, ca) as setting, Store(out) as store:
            observed = Run(asked, plan.open_loop(asked), setting, store, console).go()
            status = outcome.finish(observed, store, console)
    raise typer.Exit(status)


@app.command()
def search(
    scenario: ScenarioFile,
    out: Out,
    low: Annotated[int, typer.Option(help="sessions to begin with")] = 1,
    high: Annotated[int, typer.Option(help="sessions never to exceed")] = 1000,
    repeats: Annotated[int, typer.Option(help="of each number; the majority decides")] = 3,
    hold: Annotated[float, typer.Option(help="seconds that each number is held")] = 30.0,
    target: TargetOption = None,
    serve: ServeOption = None,
    metrics: MetricsOption = None,
    pid: PidOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    force: ForceOption = False,
) -> None:
    """Find the most sessions at once that meet the scenario's objectives (closed loop; its arrivals are not used)."""
    with _told():
        asked = load(scenario)
        if not 1 <= hold <= 86_400:
            raise ValueError(f"--hold must lie in 1 to 86400, got {hold:g}")
        _check_folder(out, force)
        with _setting(asked, out, target, serve, metrics, pid, tls, ca) as setting:
            status = capacity.find(asked, setting, out, console, low=low, high=high, repeats=repeats, hold_s=hold)
    raise typer.Exit(status)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="report.json of the run to compare with")],
    after: Annotated[Path, typer.Argument(help="report.json of the run in question")],
    tolerance: Annotated[float, typer.Option(help="share of a value that is not worth a word")] = 0.1,
    floor: Annotated[float, typer.Option(help="seconds that are not worth a word")] = 0.005,
    every: Annotated[bool, typer.Option("--all", help="show what stayed the same too")] = False,
) -> None:
    """Compare two runs of one scenario; exit status 1 if something became worse beyond chance and tolerance."""
    with _told():
        rows = compared(read_report(before), read_report(after), Tolerance(share=tolerance, floor=floor))
        tell_comparison(rows, console, every=every)
    raise typer.Exit(Exit.MISSED if any(row.change is Change.WORSE for row in rows) else Exit.HELD)


@app.command("self-check")
def self_check(
    out: Out,
    sessions: Annotated[int, typer.Option(min=1, max=10_000, help="to drive at once")] = 500,
    hold: Annotated[float, typer.Option(min=1, max=3600, help="seconds to drive them for")] = 20.0,
    tolerance: Annotated[float, typer.Option(min=0.001, max=10, help="seconds a median may be off")] = 0.05,
    force: ForceOption = False,
) -> None:
    """Prove the harness against a server of its own whose delays are stated; exit status 0 if it measured them."""
    with _told():
        _check_folder(out, force)
        proof = selfcheck.Proof(out, console, tolerance_s=tolerance)
        status = Exit.INVALID
        cut_short: str | None = FAULT
        with Results(out) as results:
            try:
                proof.run(sessions=sessions, hold_s=hold)
                status, cut_short = (Exit.HELD if proof.found().held else Exit.INVALID), None
            except ENDINGS as error:
                status, cut_short = ending(error)
            finally:
                found = proof.found(cut_short=cut_short)
                results.write("self-check.json", found.model_dump_json(indent=1) + "\n")
                tell_proof(found, console)
    raise typer.Exit(status)


@app.command()
def page(
    folder: Annotated[Path, typer.Argument(help="of a run: report.json and sessions.jsonl")],
) -> None:
    """Write a run's page (index.html) anew from its results."""
    with _told():
        console.print(f"page: {outcome.repage(folder)}", highlight=False, soft_wrap=True)


@app.command()
def schema(
    check: Annotated[bool, typer.Option("--check", help="only compare; status 1 if one differs")] = False,
) -> None:
    """Write the JSON schemas of scenarios and results to loadtest/schema/."""
    with _told():
        stale = write_schemas(check=check)
    for name in stale:
        console.print(f"{name} {'differs' if check else 'written'}", highlight=False)
    raise typer.Exit(Exit.MISSED if check and stale else Exit.HELD)


simulate.add_to(app)


@contextmanager
def _told() -> Iterator[None]:
    """What a user can do something about is said in a line, not in a trace."""
    try:
        yield
    except ENDINGS as error:
        status, why = ending(error)
        console.print(f"[red]error:[/red] {escape(why)}", soft_wrap=True, highlight=False)
        raise typer.Exit(status) from None


@contextmanager
def _setting(
    scenario: Scenario,
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
    if serve is not None and (tls or ca is not None):
        raise ValueError("--tls and --ca are for --target: what --serve starts is reached without TLS")
    tokens(scenario)  # said before a service is started for nothing
    if serve is not None:
        with served(serve, out / "service.log") as own:
            setting = Setting(target=own.target, metrics=(*own.metrics, *(metrics or ())), pid=pid or own.pid)
            setting.check(scenario)
            yield setting
    else:
        assert target is not None
        at = Target(address=target, tls=tls, ca=None if ca is None else _certificates(ca))
        setting = Setting(target=at, metrics=tuple(metrics or ()), pid=pid)
        setting.check(scenario)
        yield setting


def _certificates(path: Path) -> bytes:
    """ValueError if there are none in the file: gRPC would only say that nothing can be reached."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"--ca {path} cannot be used: {error.strerror or error}") from None


def _check_folder(out: Path, force: bool) -> None:
    if not force and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not an empty folder; --force writes into it all the same")
