"""Configuration from the environment."""

import dataclasses
from pathlib import Path

import pytest

from service.config import Settings, SettingsError, explain


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    return str(caught.value).splitlines()


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_environment({"PATH": "/bin", "CHAMELEON_LISTEN": ""})
    assert settings == Settings()
    assert (settings.listen, settings.metrics_listen) == ("127.0.0.1:50051", "127.0.0.1:9464")
    assert (settings.engine, settings.tokens, settings.triton_url) == ("triton", None, None)


def test_every_field_is_read_from_its_variable() -> None:
    settings = Settings.from_environment(
        {
            "CHAMELEON_LISTEN": "[::]:0",
            "CHAMELEON_ENGINE": "fake",
            "CHAMELEON_BLOCKS": "7",
            "CHAMELEON_DRAIN_GRACE_S": "0.5",
            "CHAMELEON_ENGINE_GRACE_S": "0",
            "CHAMELEON_IDLE_TIMEOUT_S": "90",
            "CHAMELEON_DEGRADATION": "1",
            "CHAMELEON_FIRST_MESSAGE_TIMEOUT_S": "2.5",
            "CHAMELEON_GARMENT_BYTES": "2000000",
            "CHAMELEON_MODEL_REPOSITORY": "/models",
            "CHAMELEON_MAX_SESSIONS_PER_TENANT": "2",
        }
    )
    assert (settings.listen, settings.engine, settings.blocks) == ("[::]:0", "fake", 7)
    assert (settings.drain_grace_s, settings.model_repository) == (0.5, Path("/models"))
    assert settings.max_sessions_per_tenant == 2
    assert (settings.engine_grace_s, settings.idle_timeout_s, settings.first_message_timeout_s) == (0.0, 90.0, 2.5)
    assert (settings.garment_bytes, settings.degradation) == (2_000_000, 1)


def test_everything_wrong_is_told_at_once_with_its_limit(tmp_path: Path) -> None:
    found = problems(
        {
            "CHAMELEON_PORT": "1",
            "CHAMELEON_LISTEN": "50051",
            "CHAMELEON_ENGINE": "magic",
            "CHAMELEON_BLOCKS": "0",
            "CHAMELEON_THREADS": "many",
            "CHAMELEON_DRAIN_GRACE_S": "nan",
            "CHAMELEON_TLS_KEY": str(tmp_path / "missing.pem"),
        }
    )
    for variable, limit in (
        ("CHAMELEON_PORT", "unknown"),
        ("CHAMELEON_LISTEN", "host:port"),
        ("CHAMELEON_ENGINE", "triton or fake"),
        ("CHAMELEON_BLOCKS", "1 to 4096"),
        ("CHAMELEON_THREADS", "many"),
        ("CHAMELEON_DRAIN_GRACE_S", "0 to 3600"),
        ("CHAMELEON_TLS_KEY", "no file"),
        ("CHAMELEON_TLS_CERT", "together"),
    ):
        assert any(variable in line and limit in line for line in found), variable


def test_tokens_are_read_from_a_file_and_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# who may call\nalice sesame\n\nbob  mellon\nalice second\n")
    settings = Settings.from_environment({"CHAMELEON_TOKENS": str(file)})
    assert settings.tokens is not None
    assert sorted(settings.tokens.values()) == ["alice", "alice", "bob"]
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "no token"), ("alice\n", "line 1"), ("a x\nb x\n", "line 2 repeats"), ("a b c", "line 1")],
)
def test_a_faulty_token_file_is_refused_without_telling_tokens(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)
    assert problem in problems({"CHAMELEON_TOKENS": str(file)})[0]


def test_every_variable_is_explained() -> None:
    explained = explain()
    for field in dataclasses.fields(Settings):
        assert f"CHAMELEON_{field.name.upper()}" in explained


def test_variables_of_the_client_and_of_executors_do_not_keep_a_server_from_starting() -> None:
    environment = {"CHAMELEON_ADDRESS": "127.0.0.1:1", "CHAMELEON_TOKEN": "secret", "CHAMELEON_WEIGHTS": "random"}
    environment["CHAMELEON_ENGINE_THREADS"] = "2"
    assert Settings.from_environment(environment) == Settings()
