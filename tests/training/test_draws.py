"""Randomness: a function of its key, sample by sample."""

import pytest
import torch

from training.draws import Draws, Share, seed_of


def test_the_same_key_gives_the_same_numbers_and_another_key_others() -> None:
    first, again, other = (Draws("stage", step, batch=2).normal(3, 4) for step in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_draw_what_one_alone_draws(world: int) -> None:
    alone = Draws("stage", 1, batch=8)
    whole = (alone.uniform(3), alone.common(1000), alone.normal(2), alone.whole(9, 5))
    parts = [Draws("stage", 1, batch=8, share=Share(rank=rank, world=world)) for rank in range(world)]
    drawn = [(part.uniform(3), part.common(1000), part.normal(2), part.whole(9, 5)) for part in parts]
    for of_whole, of_parts in zip(whole, zip(*drawn, strict=True), strict=True):
        if isinstance(of_whole, int):
            assert set(of_parts) == {of_whole}
        else:
            assert torch.equal(torch.cat(of_parts), of_whole)


def test_a_batch_that_does_not_split_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 5 does not split over 2"):
        Share(world=2).rows(5)


def test_seeds_do_not_run_into_each_other() -> None:
    assert seed_of("a", 1) != seed_of("a", 11) != seed_of("a", "1")
    assert 0 <= seed_of("a") < 1 << 63
