"""A tool that is missing is told, and is a failure where every test must run."""

from __future__ import annotations

import pytest

from tests.deploy.k8s.needs import SWITCHES, require


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)


def test_what_is_there_is_not_told() -> None:
    require(True, "nothing")


def test_a_test_without_its_tool_is_skipped_and_names_it() -> None:
    with pytest.raises(pytest.skip.Exception, match="needs a tool"):
        require(False, "a tool")


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("value", ["1", "true"])
def test_where_all_must_run_it_fails(switch: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(switch, value)
    with pytest.raises(pytest.fail.Exception, match="needs a tool"):
        require(False, "a tool")
