"""`python -m evaluation`: what the student does on held-out cases, measured."""

from __future__ import annotations

import argparse
import sys

from evaluation.commands import attention, codec, drift, hgc_bench, parity, stages, switch, validate

_PROGRAM = "python -m evaluation"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (validate, codec, switch, drift, attention, stages, parity, hgc_bench):
        module.add_command(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ValueError, OSError) as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
