"""`python -m service`: runs the service until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

from service.app import serve
from service.config import Settings, SettingsError, explain
from service.engine.base import EngineError
from service.logs import log_to_stderr

log = logging.getLogger("service")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="FashionChameleon's service. Prints one line with its addresses once it serves; SIGTERM drains it.",
        epilog="environment variables:\n" + explain(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    log_to_stderr(settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (EngineError, OSError, RuntimeError, ValueError) as error:
        log.exception("the service could not start: %s", error)
        return 1
    except asyncio.CancelledError:
        log.warning("stopped at once")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
