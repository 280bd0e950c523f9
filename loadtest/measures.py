"""The names of all that is measured, each with its direction. Times are in seconds."""

from __future__ import annotations

from enum import StrEnum


class Measure(StrEnum):
    """A distribution: one value a session, a chunk, a stall or a switch."""

    OPENED = "opened_s"
    """From the session's intended start until CreateSession answered."""
    FIRST_FRAME = "time_to_first_frame_s"
    """From the session's intended start until its first chunk was received whole."""
    CHUNK_INTERVAL = "chunk_interval_s"
    """From one chunk's receipt to the next one's."""
    CHUNK_LATENESS = "chunk_lateness_s"
    """A chunk's receipt after its time on a schedule that begins with the first chunk's; 0 if it came in time."""
    STALL = "stall_s"
    """How long the player stood still, each time."""
    REBUFFER_RATIO = "rebuffer_ratio"
    """Of the time from the first frame shown to the last: the part the player stood still. One value a session."""
    REALTIME_FACTOR = "realtime_factor"
    """Seconds of video received behind the first chunk, for each second that took. One value a session."""
    SWITCH_ACKNOWLEDGED = "switch_acknowledged_s"
    """From the moment a switch was due until the service accepted it."""
    SWITCH_APPLIED = "switch_applied_s"
    """... until the stream said that it takes effect."""
    SWITCH_RECEIVED = "switch_received_s"
    """... until the first chunk that shows it was received whole."""
    SWITCH_DISPLAYED = "switch_displayed_s"
    """... until the player shows it."""
    REJECTED_AFTER = "rejected_after_s"
    """From the intended start of a session that was turned away until the answer."""
    FREED_AFTER = "freed_after_s"
    """From the moment a reader left without a word until the service had ended its session."""

    @property
    def low_is_bad(self) -> bool:
        return self is Measure.REALTIME_FACTOR

    @property
    def unit(self) -> str:
        return "s" if self.value.endswith("_s") else ""


class Figure(StrEnum):
    """One number a run."""

    GOOD_RATIO = "good_ratio"
    """Good sessions, of all that were due."""
    REJECTED_RATIO = "rejected_ratio"
    """Sessions turned away, of all that were due."""
    FAILED_RATIO = "failed_ratio"
    """Sessions that were neither turned away nor went to their end, of all that were due."""
    GOODPUT = "goodput_video_s_per_s"
    """Seconds of video that good sessions received in the measured time, for each second of it."""
    DEGRADED_RATIO = "degraded_ratio"
    """Chunks that went without some of their denoising passes, of all that were received."""
    RESIDENT_GROWTH = "resident_growth_bytes"
    """Resident memory of the watched process and its children: after the run less before."""
    DESCRIPTOR_GROWTH = "descriptor_growth"
    """Open file descriptors, the same way."""
    THREAD_GROWTH = "thread_growth"
    """Threads, the same way."""
    SHARED_MEMORY_GROWTH = "shared_memory_growth_bytes"
    """Bytes in /dev/shm, the same way."""

    @property
    def low_is_bad(self) -> bool:
        return self in (Figure.GOOD_RATIO, Figure.GOODPUT)


GROUP_FIGURES = (
    Figure.GOOD_RATIO,
    Figure.REJECTED_RATIO,
    Figure.FAILED_RATIO,
    Figure.GOODPUT,
    Figure.DEGRADED_RATIO,
)
"""Those that a part of a run's sessions has too."""
