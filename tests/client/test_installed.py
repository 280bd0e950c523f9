"""What `make` installs for work on the checkout."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_process_started_anywhere_uses_the_stubs_of_the_checkout(tmp_path: Path) -> None:
    """A copy would be those of the day it was installed, and its messages would lack the fields that came since."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-c", "from fashionchameleon.v1 import media_pb2; print(media_pb2.__file__)"],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()).parent == ROOT / "proto/gen/fashionchameleon/v1"
