"""Ships the generated stubs with the package: from the repository, or from the sdist that took them along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Stubs(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # they are found where they lie: see dev-mode-dirs
            return
        root = Path(self.root)
        carried = root / "stubs" / "fashionchameleon"
        source = carried if carried.is_dir() else root.parent / "proto" / "gen" / "fashionchameleon"
        target = "stubs/fashionchameleon" if self.target_name == "sdist" else "fashionchameleon"
        build_data["force_include"][str(source)] = target
