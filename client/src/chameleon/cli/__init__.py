"""The command `chameleon`. It needs the extra `cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit: 0 fine, 1 the service refused, ended the session early or could not be reached, 2 wrong
    usage, 130 interrupted."""
    try:
        from chameleon.cli.app import app
    except ModuleNotFoundError as error:
        sys.exit(f"chameleon: {error.name} is missing; in the repository: pip install './client[cli]'")
    app()
