"""`python -m curation.drawn FOLDER`: draw the films, to try the pipeline with curation/drawn/curation.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curation.drawn.films import FILMS, draw_films


def main(folder: Annotated[Path, typer.Argument(help="where the films go")]) -> None:
    """Draw films to curate without any weights."""
    draw_films(folder)
    print(f"{len(FILMS)} films in {folder}")


if __name__ == "__main__":
    typer.run(main)
