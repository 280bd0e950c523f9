"""A service that asks for TLS and tokens."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.local_service import LocalService, local_service
from loadtest.report import Exit
from tests.loadtest.commands import loadtest, results, start
from tests.loadtest.conftest import scenario_file

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    service: LocalService
    certificate: Path


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    key, certificate, tokens = folder / "key.pem", folder / "certificate.pem", folder / "tokens"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    tokens.write_text("shop sesame\n")
    files = {"tls_cert": str(certificate), "tls_key": str(key), "tokens": str(tokens)}
    with local_service(folder, engine="fake", **files) as service:
        yield Secured(service=service, certificate=certificate)


def shop(folder: Path) -> Path:
    """One short session of the shop's."""
    return scenario_file(
        folder,
        tenants=[{"name": "shop", "token_env": "SHOP_TOKEN"}],
        kinds__0__arrivals={"process": "trace", "at_s": [0.1]},
        kinds__0__length={"distribution": "fixed", "seconds": 1},
    )


def test_a_run_trusts_the_certificates_that_it_is_given(
    tmp_path: Path, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "sesame")
    out = tmp_path / "out"
    at = ("--target", secured.service.address, "--ca", secured.certificate)
    status, said = loadtest("run", shop(tmp_path), *at, "--out", out)
    assert status == Exit.HELD, said
    assert results(out).groups[0].counts.good == 1


def test_a_run_trusts_the_systems_certificates(tmp_path: Path, secured: Secured) -> None:
    """gRPC's variable stands for them."""
    trust = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(secured.certificate), "SHOP_TOKEN": "sesame"}
    at = ("--target", secured.service.address, "--tls")
    process = start("run", shop(tmp_path), *at, "--out", tmp_path / "out", **trust)
    _, said = process.communicate(timeout=60)
    assert process.returncode == Exit.HELD, said
    assert results(tmp_path / "out").groups[0].counts.good == 1


@pytest.mark.parametrize("trusting", [False, True])
def test_without_tls_or_with_a_wrong_token_nothing_is_run(
    tmp_path: Path, secured: Secured, monkeypatch: pytest.MonkeyPatch, trusting: bool
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "open")
    trust = ("--ca", secured.certificate) if trusting else ()
    status, said = loadtest(
        "run", shop(tmp_path), "--target", secured.service.address, *trust, "--out", tmp_path / "out"
    )
    assert status == Exit.TARGET
    assert ("TOKEN_INVALID" if trusting else "UNAVAILABLE") in said
