"""What the service's process held more of at the end of a run than at its start, by name. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loadtest.report import ProcessState


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """`before` and `after` are counts; of a file in /dev/shm bytes, `before` 0 if it was not there."""

    what: str
    name: str
    before: int
    after: int


def grown(process: tuple[ProcessState, ProcessState]) -> list[Grown]:
    """None of what became less, and none from reports that keep no names."""
    before, after = process
    return [
        *_more("threads", before.thread_names, after.thread_names),
        *_more("descriptors", before.descriptor_kinds, after.descriptor_kinds),
        *_more("bytes in /dev/shm", before.shared_memory_files, after.shared_memory_files),
    ]


def _more(what: str, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Grown]:
    for name, count in after.items():
        if count > (was := before.get(name, 0)):
            yield Grown(what=what, name=name, before=was, after=count)
