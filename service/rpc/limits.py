"""Every limit of the API, and the checks that enforce them.

A request is checked to its end: `Findings` collects what is wrong, field by field, and raises it all at once. Each
check returns a usable value in any case, so that the next one can go on.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TypeVar

from fashionchameleon.v1 import customization_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from contract.cache_plan import Policy
from service.core.errors import InvalidArgument, Violation
from service.core.events import MediaFormat, Pacing
from service.core.pacing import MAX_CREDITS

MAX_PROMPT_CHARACTERS = 1000
MAX_EVENT_ID_CHARACTERS = 64
MAX_DISPLAY_NAME_CHARACTERS = 200
DEFAULT_JPEG_QUALITY = 90
MAX_JPEG_QUALITY = 100
DEFAULT_DURATION_S = 3600.0
MAX_DURATION_S = 4 * 3600.0
DEFAULT_DETACH_GRACE_S = 1.0
MAX_DETACH_GRACE_S = 300.0
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

POLICIES: Mapping[int, Policy] = {
    pb.RESCHEDULING_POLICY_REFRESH: Policy.REFRESH,
    pb.RESCHEDULING_POLICY_REFRESH_WITHDRAW: Policy.REFRESH_WITHDRAW,
    pb.RESCHEDULING_POLICY_REFRESH_WITHDRAW_DISENTANGLE: Policy.REFRESH_WITHDRAW_DISENTANGLE,
    pb.RESCHEDULING_POLICY_KEEP_MOTION: Policy.KEEP_MOTION,
}

_SEED_BITS = 64
_MAX_DESCRIPTION = 300
"""Violations travel in trailing metadata, of which clients take 8 KiB by default."""
_MAX_VIOLATIONS = 12
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID = re.compile(r"[0-9a-f]{32}")
EnumT = TypeVar("EnumT", bound=IntEnum)


class Findings:
    """What is wrong with a request. `within` prefixes field paths: "create." for a message in a message."""

    def __init__(self, within: str = "") -> None:
        self._within = within
        self._found: list[Violation] = []

    def __bool__(self) -> bool:
        """Something is wrong."""
        return bool(self._found)

    def add(self, field: str, description: str, reason: str) -> None:
        self._found.append(
            Violation(field=self._within + field, description=description[:_MAX_DESCRIPTION], reason=reason)
        )

    def raise_any(self) -> None:
        """InvalidArgument with everything found, if anything was."""
        if self._found:
            raise InvalidArgument(*self._found[:_MAX_VIOLATIONS])


def resource_id(findings: Findings, field: str, collection: str, name: str) -> str:
    """The id in `{collection}/{id}`."""
    prefix, _, identifier = name.partition("/")
    if prefix != collection or not _ID.fullmatch(identifier):
        findings.add(field, f"must be {collection}/ and 32 hexadecimal digits", "NAME_INVALID")
        return ""
    return identifier


def request_id(findings: Findings, value: str) -> None:
    if value and not _UUID.fullmatch(value):
        findings.add("request_id", "must be a UUID in its 36-character form, or empty", "REQUEST_ID_INVALID")


def prompt(findings: Findings, value: str, *, max_tokens: int, token_count: Callable[[str], int]) -> str:
    if not value or value.isspace():
        findings.add("prompt", f"must have 1 to {MAX_PROMPT_CHARACTERS} characters, not only spaces", "PROMPT_EMPTY")
        return value
    if len(value) > MAX_PROMPT_CHARACTERS:
        findings.add(
            "prompt", f"has {len(value):,} characters; at most {MAX_PROMPT_CHARACTERS} are accepted", "PROMPT_TOO_LONG"
        )
    elif (tokens := token_count(value)) > max_tokens:
        findings.add("prompt", f"has {tokens} tokens; the student reads at most {max_tokens}", "PROMPT_TOO_LONG")
    at = next((at for at, character in enumerate(value) if unicodedata.category(character) == "Cc"), None)
    if at is not None:
        description = f"has the control character U+{ord(value[at]):04X} at {at}; none are accepted"
        findings.add("prompt", description, "PROMPT_CONTROL_CHARACTER")
    return value


def event_id(findings: Findings, value: str) -> str:
    if not 1 <= len(value) <= MAX_EVENT_ID_CHARACTERS:
        description = f"has {len(value):,} characters; 1 to {MAX_EVENT_ID_CHARACTERS} are accepted"
        findings.add("event_id", description, "EVENT_ID_LENGTH")
    return value


def display_name(findings: Findings, value: str) -> str:
    if len(value) > MAX_DISPLAY_NAME_CHARACTERS:
        description = f"has {len(value):,} characters; at most {MAX_DISPLAY_NAME_CHARACTERS} are accepted"
        findings.add("display_name", description, "DISPLAY_NAME_TOO_LONG")
    return value


def seed(value: int) -> int:
    """0 asks for one."""
    return value or 1 + secrets.randbelow((1 << _SEED_BITS) - 1)


def media_format(findings: Findings, value: int) -> MediaFormat:
    return _enum(findings, "output.format", value, MediaFormat, MediaFormat.H264_FMP4)


def pacing(findings: Findings, value: int) -> Pacing:
    return _enum(findings, "pacing", value, Pacing, Pacing.REALTIME)


def policy(findings: Findings, value: int) -> Policy | None:
    """None if unspecified."""
    if value and value not in POLICIES:
        findings.add("policy", f"has no value {value}; known are 0 to {max(POLICIES)}", "ENUM_UNKNOWN")
    return POLICIES.get(value)


def jpeg_quality(findings: Findings, value: int) -> int:
    if not 0 <= value <= MAX_JPEG_QUALITY:
        description = f"is {value}; 1 to {MAX_JPEG_QUALITY} are accepted, 0 means {DEFAULT_JPEG_QUALITY}"
        findings.add("output.jpeg_quality", description, "JPEG_QUALITY_OUT_OF_RANGE")
    return value or DEFAULT_JPEG_QUALITY


def max_duration_s(findings: Findings, value: Duration | None) -> float:
    if value is None:
        return DEFAULT_DURATION_S
    seconds = _seconds(value)
    if not 0.0 < seconds <= MAX_DURATION_S:
        description = f"is {seconds:g} s; more than 0 and at most {MAX_DURATION_S:.0f} s are accepted"
        findings.add("max_duration", description, "DURATION_OUT_OF_RANGE")
    return seconds


def detach_grace_s(findings: Findings, value: Duration | None) -> float:
    if value is None:
        return DEFAULT_DETACH_GRACE_S
    return _bounded(findings, "detach_grace", _seconds(value), MAX_DETACH_GRACE_S)


def not_before_s(findings: Findings, value: Duration | None) -> float:
    return 0.0 if value is None else _bounded(findings, "not_before", _seconds(value), MAX_DURATION_S)


def credits(findings: Findings, value: int) -> int:
    if not 1 <= value <= MAX_CREDITS:
        findings.add("chunks", f"is {value}; 1 to {MAX_CREDITS} are accepted", "CREDITS_OUT_OF_RANGE")
    return value


def page_size(findings: Findings, value: int) -> int:
    if not 0 <= value <= MAX_PAGE_SIZE:
        description = f"is {value}; 1 to {MAX_PAGE_SIZE} are accepted, 0 means {DEFAULT_PAGE_SIZE}"
        findings.add("page_size", description, "PAGE_SIZE_OUT_OF_RANGE")
    return value or DEFAULT_PAGE_SIZE


def _enum(findings: Findings, field: str, value: int, kind: type[EnumT], default: EnumT) -> EnumT:
    if value == 0:
        return default
    try:
        return kind(value)
    except ValueError:
        findings.add(field, f"has no value {value}; known are 0 to {max(kind)}", "ENUM_UNKNOWN")
        return default


def _bounded(findings: Findings, field: str, seconds: float, limit_s: float) -> float:
    if not 0.0 <= seconds <= limit_s:
        findings.add(field, f"is {seconds:g} s; 0 to {limit_s:.0f} s are accepted", "DURATION_OUT_OF_RANGE")
    return seconds


def _seconds(duration: Duration) -> float:
    return float(duration.seconds + duration.nanos / 1e9)
