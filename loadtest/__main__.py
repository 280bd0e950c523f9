"""`python -m loadtest`: see `--help` of each command."""

if __name__ == "__main__":
    from loadtest.cli import app  # not for the workers, which import this file too

    app(prog_name="python -m loadtest")
