"""`python -m loadtest simulate`: the simulation's command under the harness's name.

The one file of the harness that knows more than the API; see docs/adr/0008-simulation-package.md.
"""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None:
    """Hand every argument behind `simulate` on as it is, `--help` too."""

    @app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
        help="Simulate a fleet over a day under each of some autoscaling policies (no target; see simulation/).",
    )
    def simulate(context: typer.Context) -> None:
        from simulation import command  # simpy and the service's core are not needed to drive a service

        raise typer.Exit(command.main(context.args, prog="python -m loadtest simulate"))
