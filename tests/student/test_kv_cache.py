"""Slots in memory: moves can be made again, reads see what was written and, with gradients, do not change later."""

import pytest
import torch

from contract.cache_plan import PassPlan
from contract.geometry import StudentGeometry
from student.kv_cache import KvCache


@pytest.fixture
def cache(geometry: StudentGeometry) -> KvCache:
    """Slot s holds s in its keys and -s in its values."""
    cache = KvCache(geometry, batch=1, dtype=torch.float32, device=torch.device("cpu"))
    shape = (1, geometry.tokens_per_frame, geometry.num_heads, geometry.head_dim)
    for slot in range(geometry.window_frames):
        filled = [torch.full(shape, float(slot))] * geometry.num_layers
        cache.write(slot, filled, [-value for value in filled])
    return cache


def _slots(cache: KvCache, geometry: StudentGeometry) -> list[float]:
    keys, values = cache.read(0, geometry.window_frames)
    assert all(torch.equal(k, -v) for k, v in zip(keys, values, strict=True))
    assert all(torch.equal(k, keys[0]) for k in keys)
    by_slot = keys[0].unflatten(1, (geometry.window_frames, -1)).flatten(2)[0]
    assert torch.equal(by_slot.amin(1), by_slot.amax(1))
    return by_slot.amin(1).tolist()


def test_moves_copy_slots_in_every_layer_and_may_be_made_again(cache: KvCache, geometry: StudentGeometry) -> None:
    plan = PassPlan(moves=((8, 5), (9, 6), (10, 7)), past_positions=(), positions=(0,))
    for _ in range(2):
        cache.move(plan)
        assert _slots(cache, geometry) == [0, 1, 2, 3, 4, 8, 9, 10, 8, 9, 10]


def test_the_attended_prefix_is_a_view(cache: KvCache, geometry: StudentGeometry) -> None:
    plan = PassPlan(past_positions=(0, 1), positions=(2,))
    with torch.no_grad():
        keys, values = cache.attended(plan)
        cache.write(0, *([tensor[:, : geometry.tokens_per_frame] + 7 for tensor in each] for each in (keys, values)))
    assert keys[0].shape[1] == 2 * geometry.tokens_per_frame
    assert keys[0][0, 0, 0, 0] == 7


def test_with_gradients_what_was_read_outlives_a_write(cache: KvCache, geometry: StudentGeometry) -> None:
    keys, values = cache.read(1, 1)
    cache.write(1, [k + 7 for k in keys], values)
    assert keys[0][0, 0, 0, 0] == 1
