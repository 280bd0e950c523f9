"""Fragments of an MP4 file (ISO/IEC 14496-12), one a chunk, written at once.

libavformat ends a fragment only when the next one's first packet arrives, a whole chunk too late for a live stream, so
the two boxes are written here:

    moof  mfhd                   sequence number
          traf  tfhd tfdt trun   track and defaults, decode time, sizes
    mdat                         the samples
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

TRACK_ID = 1

_TFHD_FLAGS = 0x020000 | 0x000020 | 0x000008  # default-base-is-moof, default sample flags, default sample duration
_TRUN_FLAGS = 0x000200 | 0x000004 | 0x000001  # sample sizes, first sample's flags, data offset
_SYNC_SAMPLE = 0x02000000  # depends on no other
_OTHER_SAMPLE = 0x01010000  # depends on others, no sync sample
_BOX_HEADER_BYTES = 8


def fragment(samples: Sequence[bytes], *, sequence: int, decode_time: int, sample_duration: int) -> bytes:
    """One `moof` and one `mdat`. The first sample is a key frame and all are shown in the order they are decoded.

    Args:
        samples: NAL units with 4-byte lengths, one access unit each.
        sequence: number of the fragment, from 1.
        decode_time: of the first sample, in units of the track's timescale.
        sample_duration: of every sample, in the same units.
    """
    media = b"".join(samples)
    sizes = b"".join(len(sample).to_bytes(4) for sample in samples)

    def moof(data_offset: int) -> bytes:
        mfhd = _full_box(b"mfhd", 0, 0, struct.pack(">I", sequence))
        tfhd = _full_box(b"tfhd", 0, _TFHD_FLAGS, struct.pack(">III", TRACK_ID, sample_duration, _OTHER_SAMPLE))
        tfdt = _full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
        run = struct.pack(">IiI", len(samples), data_offset, _SYNC_SAMPLE) + sizes
        return _box(b"moof", mfhd + _box(b"traf", tfhd + tfdt + _full_box(b"trun", 0, _TRUN_FLAGS, run)))

    return moof(len(moof(0)) + _BOX_HEADER_BYTES) + _box(b"mdat", media)


def length_prefixed(annex_b: bytes) -> bytes:
    """An access unit's NAL units with 4-byte lengths instead of start codes (ITU-T H.264 Annex B).

    Emulation prevention keeps start codes out of NAL units, and none ends with a zero byte.
    """
    leading, *units = annex_b.split(b"\x00\x00\x01")
    assert not leading.strip(b"\x00"), "an access unit begins with a start code"
    stripped = (unit.rstrip(b"\x00") for unit in units)
    return b"".join(len(unit).to_bytes(4) + unit for unit in stripped)


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", _BOX_HEADER_BYTES + len(payload), kind) + payload


def _full_box(kind: bytes, version: int, flags: int, payload: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + payload)
