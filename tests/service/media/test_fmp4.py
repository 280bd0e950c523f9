"""Fragments hold what ISO/IEC 14496-12 asks for, box by box."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from service.media.fmp4 import fragment, length_prefixed

CONTAINERS = (b"moof", b"traf")


def boxes(data: bytes) -> dict[bytes, bytes]:
    """Payloads by type, containers opened, each type once; the boxes must fill `data` exactly."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        payload = data[at + 8 : at + size]
        assert kind not in found
        assert at + size <= len(data)
        found[kind] = payload
        if kind in CONTAINERS:
            found |= boxes(payload)
        at += size
    return found


@given(
    samples=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=12),
    sequence=st.integers(1, 2**32 - 1),
    decode_time=st.integers(0, 2**64 - 1),
    sample_duration=st.integers(1, 2**32 - 1),
)
def test_a_fragment_is_one_moof_and_one_mdat_that_agree(
    samples: list[bytes], sequence: int, decode_time: int, sample_duration: int
) -> None:
    media = fragment(samples, sequence=sequence, decode_time=decode_time, sample_duration=sample_duration)
    found = boxes(media)
    assert list(found) == [b"moof", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"mdat"]
    assert found[b"mdat"] == b"".join(samples)
    assert struct.unpack(">II", found[b"mfhd"]) == (0, sequence)
    assert struct.unpack(">IIII", found[b"tfhd"])[1:3] == (1, sample_duration)
    assert struct.unpack(">IQ", found[b"tfdt"]) == (1 << 24, decode_time)
    _, count, data_offset, _, *sizes = struct.unpack(f">IIiI{len(samples)}I", found[b"trun"])
    assert count == len(samples)
    assert sizes == [len(sample) for sample in samples]
    assert media[data_offset:] == found[b"mdat"]


@given(
    units=st.lists(st.binary(max_size=20).map(lambda b: b"\x65" + b.replace(b"\0", b"\x03") + b"\x80"), min_size=1),
    start_codes=st.lists(st.sampled_from([b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\1"]), min_size=1),
)
def test_start_codes_of_any_length_become_unit_lengths(units: list[bytes], start_codes: list[bytes]) -> None:
    annex_b = b"".join(start_codes[i % len(start_codes)] + unit for i, unit in enumerate(units))
    assert length_prefixed(annex_b) == b"".join(len(unit).to_bytes(4) + unit for unit in units)
