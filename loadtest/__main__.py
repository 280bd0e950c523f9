"""`python -m loadtest`: see `--help` of each command."""

import signal

if __name__ == "__main__":  # the workers import this file too
    from loadtest.cli import app

    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs begin with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    app(prog_name="python -m loadtest")
