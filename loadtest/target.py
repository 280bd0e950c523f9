"""The service under test: where it is, whether it answers, what it must know before the run."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from chameleon import AsyncChameleon, RetryPolicy
from chameleon.errors import ChameleonError
from loadtest.scenario import Scenario
from loadtest.session import Supplies

ONCE = RetryPolicy(attempts=1)
ANSWER_S = 10.0


class TargetError(Exception):
    """The service cannot be tested; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`host:port` of the gRPC server; with `ca` (certificates, PEM) or `tls` (the system's), over TLS."""

    address: str
    tls: bool = False
    ca: bytes | None = None

    def __post_init__(self) -> None:
        check_address("--target", self.address)

    def client(self, token: str | None) -> AsyncChameleon:
        """A client that asks everything once."""
        credentials = None if self.ca is None else grpc.ssl_channel_credentials(self.ca)
        return AsyncChameleon(
            self.address, token=token, tls=self.tls, credentials=credentials, timeout_s=ANSWER_S, retry=ONCE
        )

    def listens(self, timeout_s: float = 1.0) -> bool:
        """True if something accepts connections there."""
        host, _, port = self.address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout_s):
                return True
        except OSError:
            return False


def check_address(option: str, address: str) -> None:
    """ValueError if it is not HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{option} must be HOST:PORT, got {address!r}")


def tokens(scenario: Scenario) -> dict[str, str | None]:
    """Tenant -> bearer token, from the environment.

    Raises:
        ValueError: a variable is not set.
    """
    missing = [t.token_env for t in scenario.tenants if t.token_env is not None and not os.environ.get(t.token_env)]
    if missing:
        raise ValueError(f"the scenario's tenants need the variables {', '.join(missing)} (token_env)")
    return {t.name: None if t.token_env is None else os.environ[t.token_env] for t in scenario.tenants}


def supply(target: Target, scenario: Scenario, tenant_tokens: Mapping[str, str | None]) -> Supplies:
    """Ask the service whether it is there, and upload the garments, once for each tenant.

    Raises:
        TargetError: it cannot be reached, or refuses a garment.
    """
    return asyncio.run(_supply(target, scenario, tenant_tokens))


async def _supply(target: Target, scenario: Scenario, tenant_tokens: Mapping[str, str | None]) -> Supplies:
    paths = {path for kind in scenario.kinds for path in (kind.person, *kind.garments)}
    garments = {path for kind in scenario.kinds for path in kind.garments}
    pictures = {path: path.read_bytes() for path in sorted(paths)}
    known: dict[str, dict[Path, str]] = {}
    for tenant, token in tenant_tokens.items():
        try:
            async with target.client(token) as client:
                await client.capacity()
                known[tenant] = {path: (await client.create_garment(path)).name for path in sorted(garments)}
        except ChameleonError as error:
            raise TargetError(f"{target.address} cannot be tested: {error}") from None
    return Supplies(pictures=pictures, garments=known)
