"""`python -m deploy.monitoring`: write the committed files; with `--check`, fail if they differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from deploy.monitoring import dashboard, rules

HERE = Path(__file__).parent
_NOTE = "# Made by `python -m deploy.monitoring`: do not edit.\n"


def rendered() -> dict[Path, str]:
    """Each file's path and text."""
    groups = rules.groups()
    operator_rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "chameleon", "labels": {"app.kubernetes.io/part-of": "fashionchameleon"}},
        "spec": {"groups": groups},
    }
    return {
        HERE / "rules.yaml": _NOTE + _yaml({"groups": groups}),
        HERE / "prometheus_rule.yaml": _NOTE + _yaml(operator_rule),
        HERE / "dashboard.json": dashboard.build(),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.monitoring", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    check = parser.parse_args(arguments).check
    differ = [path for path, text in rendered().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in differ:
        print(
            f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}: "
            + ("differs" if check else "written")
        )
        if not check:
            path.write_text(rendered()[path], "utf-8")
    return int(check and bool(differ))


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as blocks, and repeats what is shared instead of naming it."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


if __name__ == "__main__":
    sys.exit(main())
