"""Whose call this is. The authentication interceptor sets it; each call has a context of its own."""

from __future__ import annotations

from contextvars import ContextVar

DEFAULT_TENANT = "default"

current: ContextVar[str] = ContextVar("tenant")
