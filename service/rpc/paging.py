"""Lists by the page. A page token is the place of the page's last item, so items that come or go shift nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol, TypeVar

from service.rpc.limits import Findings


class Listed(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def created_s(self) -> float: ...


L = TypeVar("L", bound=Listed)
Place = tuple[float, str]


def place_after(findings: Findings, page_token: str) -> Place | None:
    """Where the page begins: behind this place; None for the first page."""
    if not page_token:
        return None
    try:
        created, _, identifier = base64.urlsafe_b64decode(page_token.encode()).decode("ascii").partition(" ")
        return float.fromhex(created), identifier
    except (ValueError, OverflowError, binascii.Error):
        findings.add("page_token", "is not one that a page before came with", "PAGE_TOKEN_INVALID")
        return None


def page(items: Sequence[L], *, size: int, after: Place | None) -> tuple[list[L], str]:
    """Up to `size` items, newest first, and the token of the next page, empty if this is the last."""
    newest_first = sorted(items, key=_place, reverse=True)
    rest = [item for item in newest_first if after is None or _place(item) < after]
    shown = rest[:size]
    return shown, _token(shown[-1]) if len(rest) > size else ""


def _place(item: Listed) -> Place:
    return item.created_s, item.id


def _token(item: Listed) -> str:
    return base64.urlsafe_b64encode(f"{item.created_s.hex()} {item.id}".encode()).decode()
