"""Which of several servers behind a gateway has a session or a garment."""

from __future__ import annotations

from collections.abc import Iterable

from chameleon.header import checked

HEADER = "chameleon-pod"
"""Of a gateway's first answer: whoever returns it comes back to that server. Without a gateway there is none."""


class Affinity:
    """Given, or learned from the first answer; sent with what follows. Empty: any server will do.

    Raises:
        ValueError: a value that cannot be a header's.
    """

    def __init__(self, value: str | None = None) -> None:
        self.value = checked("an affinity", value) if value else None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return ((HEADER, self.value),) if self.value else ()

    def learn(self, answer: Iterable[tuple[str, str | bytes]]) -> None:
        """Take the header from an answer's initial metadata, if it has one."""
        for key, value in answer:
            if key == HEADER and isinstance(value, str):
                self.value = value
