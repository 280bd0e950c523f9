"""Configuration: read once from `CHAMELEON_*` environment variables, refused with everything that is wrong with it."""

# ruff: noqa: RUF009 - _option is dataclasses.field

from __future__ import annotations

import hashlib
import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from service.core.degradation import MOST_LEFT_OUT

PREFIX = "CHAMELEON_"
CLIENT_VARIABLES = {"CHAMELEON_ADDRESS", "CHAMELEON_AFFINITY", "CHAMELEON_TOKEN"}
"""Of the `chameleon` command: whoever exported them may start a server too."""
EXECUTOR_VARIABLES = {
    "CHAMELEON_WEIGHTS",
    "CHAMELEON_NETWORK",
    "CHAMELEON_ENGINES",
    "CHAMELEON_PRECISION",
    "CHAMELEON_ENGINE_THREADS",
}
"""Of the models inside a tritonserver that is started here: it inherits them."""
T = TypeVar("T")


class SettingsError(ValueError):
    """Everything that is wrong, one line each."""


def _option(parse: Callable[[str], T], default: T, explanation: str) -> T:
    value: T = field(default=default, metadata={"parse": parse, "help": explanation})
    return value


def _integer(text: str, *, low: int, high: int) -> int:
    value = int(text)
    if not low <= value <= high:
        raise ValueError(f"must lie in {low} to {high}")
    return value


def _number(text: str, *, low: float, high: float) -> float:
    value = float(text)
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"must lie in {low:g} to {high:g}")
    return value


def _choice(text: str, *, among: tuple[str, ...]) -> str:
    if text not in among:
        raise ValueError(f"must be {' or '.join(among)}")
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be host:port; port 0 lets the system choose")
    return text


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("is no file")
    return path


def _tokens(text: str) -> Mapping[bytes, str]:
    """SHA-256 of each token -> its tenant: the tokens themselves are not kept."""
    tenants: dict[bytes, str] = {}
    for number, line in enumerate(_file(text).read_text("utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise ValueError(f"line {number} must be a tenant, a space and a token")
        digest = hashlib.sha256(words[1].encode()).digest()
        if digest in tenants:
            raise ValueError(f"line {number} repeats a token")
        tenants[digest] = words[0]
    if not tenants:
        raise ValueError("holds no token")
    return tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field `name` is read from `CHAMELEON_NAME`."""

    listen: str = _option(_address, "127.0.0.1:50051", "Address of the gRPC server.")
    metrics_listen: str = _option(_address, "127.0.0.1:9464", "Address of the metrics (/metrics, Prometheus).")
    tls_cert: Path | None = _option(_file, None, "Certificate chain (PEM). With tls_key: serve TLS.")
    tls_key: Path | None = _option(_file, None, "Private key (PEM).")
    tokens: Mapping[bytes, str] | None = _option(
        _tokens,
        None,
        "File of lines `tenant token`: calls need a bearer token. Without it all calls are one tenant's.",
    )
    engine: str = _option(
        partial(_choice, among=("triton", "fake")), "triton", "triton, or fake: patterns without a network."
    )
    model_repository: Path = _option(Path, Path("model_repository"), "The Triton models.")
    triton_url: str | None = _option(_address, None, "A running tritonserver's gRPC address; empty: start one.")
    triton_metrics_port: int = _option(
        partial(_integer, low=0, high=65535), 8002, "Port on loopback of its metrics; 0: any. For one started here."
    )
    triton_threads: int | None = _option(
        partial(_integer, low=1, high=256),
        None,
        "Threads of each of its model instances. For one started here; any other reads CHAMELEON_ENGINE_THREADS.",
    )
    workdir: Path = _option(Path, Path("out/serve"), "Where a tritonserver started here writes its log.")
    blocks: int = _option(partial(_integer, low=1, high=4096), 4, "Sessions that fit in the engine's memory.")
    max_sessions_per_tenant: int | None = _option(
        partial(_integer, low=1, high=4096), None, "Sessions a tenant may have open; empty: as many as fit."
    )
    garment_bytes: int = _option(
        partial(_integer, low=1 << 20, high=1 << 40),
        512 << 20,
        "Bytes that garments of all tenants may take; one of the 5B student takes 0.7 MB, and 2.7 while encoded.",
    )
    threads: int = _option(
        partial(_integer, low=1, high=256), 4, "Threads for arithmetic and video; as many again decode pictures."
    )
    max_concurrent_rpcs: int = _option(partial(_integer, low=1, high=100_000), 256, "Calls that may run at once.")
    max_message_bytes: int = _option(
        partial(_integer, low=1 << 20, high=1 << 28), 16 << 20, "Largest request; a CreateSession carries two pictures."
    )
    first_message_timeout_s: float = _option(
        partial(_number, low=0.1, high=3600.0),
        30.0,
        "Seconds that an Interact stream may take over its first message, which may bring two pictures.",
    )
    idle_timeout_s: float = _option(
        partial(_number, low=0.1, high=86400.0),
        600.0,
        "Seconds that a client may hold its session paused, without credits or unread, before it is ended.",
    )
    degradation: int = _option(
        partial(_integer, low=0, high=16),
        MOST_LEFT_OUT,
        "Denoising passes that a real-time chunk may go without where it would be late; told with the chunk. 0: none.",
    )
    engine_grace_s: float = _option(
        partial(_number, low=0.0, high=3600.0), 60.0, "Seconds that sessions outlive an engine that is down."
    )
    drain_grace_s: float = _option(
        partial(_number, low=0.0, high=3600.0), 30.0, "After SIGTERM: seconds that sessions may go on."
    )
    keepalive_time_s: float = _option(
        partial(_number, low=1.0, high=3600.0), 30.0, "Seconds of silence before a client is pinged."
    )
    keepalive_timeout_s: float = _option(
        partial(_number, low=1.0, high=3600.0), 10.0, "Seconds to wait for its answer before the connection is closed."
    )
    traces: str = _option(
        partial(_choice, among=("off", "otlp")),
        "off",
        "off, or otlp: a trace for each session, sent as OTEL_EXPORTER_OTLP_ENDPOINT and its kin say.",
    )
    log_level: str = _option(
        partial(_choice, among=("debug", "info", "warning", "error")), "info", "debug, info, warning or error."
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Other variables than `CHAMELEON_*` are not looked at; an empty one counts as not set.

        Raises:
            SettingsError: a value is wrong, a variable unknown.
        """
        given = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value}
        given = {name: value for name, value in given.items() if name not in CLIENT_VARIABLES | EXECUTOR_VARIABLES}
        known = {_variable(option): option for option in fields(cls)}
        problems = [f"{name} is unknown" for name in sorted(given.keys() - known.keys())]
        values: dict[str, Any] = {}
        for name in sorted(given.keys() & known.keys()):
            try:
                values[known[name].name] = known[name].metadata["parse"](given[name])
            except (ValueError, OSError) as error:
                problems.append(f"{name}={given[name]!r}: {error}")
        if (PREFIX + "TLS_CERT" in given) != (PREFIX + "TLS_KEY" in given):
            problems.append(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY come together or not at all")
        if problems:
            raise SettingsError("\n".join(problems))
        return cls(**values)


def explain() -> str:
    """Every variable, its default and what it means."""
    lines = []
    for option in fields(Settings):
        default = "" if option.default is None else f" (default: {option.default})"
        lines.append(f"  {_variable(option)}{default}")
        lines += textwrap.wrap(option.metadata["help"], 100, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def _variable(option: Field[Any]) -> str:
    return PREFIX + option.name.upper()
