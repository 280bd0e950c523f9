"""The codec's PSNR."""

import numpy as np
import pytest

from evaluation.commands.codec import psnr

DRAWN = np.full((2, 4, 4, 3), 100, np.uint8)
EVERYWHERE = np.ones((2, 4, 4), bool)


def test_psnr_follows_its_formula_where_the_mask_is_true() -> None:
    shown = DRAWN.copy()
    shown[:, :2] += 10
    upper = EVERYWHERE.copy()
    upper[:, 2:] = False
    assert psnr(DRAWN, shown, upper) == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(DRAWN, shown, EVERYWHERE) == pytest.approx(20 * np.log10(255 / 10) + 10 * np.log10(2))


def test_a_brighter_picture_does_not_wrap_around() -> None:
    assert psnr(np.full_like(DRAWN, 0), np.full_like(DRAWN, 255), EVERYWHERE) == pytest.approx(0.0)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        psnr(DRAWN, DRAWN + 1, ~EVERYWHERE)
