"""Calibration and risk-coverage against hand-computed cases and slow loops."""

import numpy as np
import pytest

from causalseg.evaluation.calibration import brier, reliability
from causalseg.evaluation.risk import risk_coverage, soft_dice_confidence


def test_calibrated_and_overconfident_by_hand():
    truth = np.array([[True, False, False, False]])
    fair = np.full((1, 4), 0.25)
    assert reliability(fair, truth).ece == pytest.approx(0)
    assert brier(fair, truth) == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)
    sure = np.ones((1, 4))
    assert reliability(sure, truth).ece == pytest.approx(0.75)
    assert brier(sure, truth) == pytest.approx(0.75)


def test_ece_agrees_with_a_loop_and_bins_pool():
    generator = np.random.default_rng(0)
    p, truth = generator.random((20, 20)), generator.random((20, 20)) > 0.4
    expected = 0.0
    for b in range(10):
        inside = (p >= b / 10) & (p < (b + 1) / 10)
        expected += inside.mean() * abs(p[inside].mean() - truth[inside].mean())
    whole = reliability(p, truth, bins=10)
    assert whole.ece == pytest.approx(expected)
    pooled = reliability(p[:7], truth[:7], bins=10) + reliability(p[7:], truth[7:], bins=10)
    assert pooled.ece == pytest.approx(expected)


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_refuses_what_is_no_probability(bad):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        reliability(np.full((2, 2), bad), np.ones((2, 2), bool))


def test_risk_coverage_by_hand():
    curve = risk_coverage([0.9, 0.5, 0.7], [0.1, 0.6, 0.2])
    np.testing.assert_allclose(curve.coverage, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.risk, [0.1, 0.15, 0.3])
    assert curve.aurc == pytest.approx(np.mean([0.1, 0.15, 0.3]))
    assert curve.optimal_aurc == curve.aurc


def test_useless_confidence_gives_the_mean_risk_in_any_order():
    risk = np.array([0.0, 0.0, 1.0, 1.0])
    for order in (slice(None), slice(None, None, -1)):
        assert risk_coverage(np.ones(4), risk[order]).aurc == pytest.approx(0.5)
    worst = risk_coverage([0, 0, 1, 1], risk)
    assert worst.aurc > 0.5 > worst.optimal_aurc


def test_soft_dice_confidence():
    assert soft_dice_confidence(np.zeros((3, 3)), 0.5) == 1
    assert soft_dice_confidence(np.array([[1.0, 0.0]]), 0.5) == 1
    assert soft_dice_confidence(np.array([[0.6, 0.4]]), 0.5) == pytest.approx(1.2 / 2)
    faint = np.full((10, 10), 0.001)
    assert soft_dice_confidence(faint, 0.5) == pytest.approx(0.999)
    faint[:2, 0] = 0.4  # two of a hundred pixels: all of the strongest
    assert soft_dice_confidence(faint, 0.5) == pytest.approx(0.6)
