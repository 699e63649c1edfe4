import numpy as np
import pytest

from causalseg.errors import InputError
from causalseg.experiments.lodo_scores import CellScores, FrameScore
from causalseg.experiments.lodo_table import (
    lodo_markdown,
    stratified,
    stratified_p,
    tabulate_lodo,
)


def cell(fold, row, seed, dice, empty=None, subjects=None):
    empty = empty or [0] * len(dice)
    subjects = subjects or [""] * len(dice)
    return CellScores(
        fold,
        row,
        seed,
        [
            FrameScore(f"{i}.png", s, "a", bool(e), d, 0.5, 0.9, 0, 0, 0, 0)
            for i, (d, e, s) in enumerate(zip(dice, empty, subjects, strict=True))
        ],
    )  # fmt: skip


def test_the_mean_weighs_domains_not_images():
    big = (np.full(100, 0.9), np.arange(100))
    small = (np.full(4, 0.5), np.arange(4))
    assert stratified([big, small]).estimate == pytest.approx(0.7)
    assert stratified([big, small]).low == pytest.approx(0.7)  # no spread within a domain


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(10), 20)
    values = rng.normal(size=10)[subject]
    alone = stratified([(values, np.arange(200))])
    grouped = stratified([(values, subject)])
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert (alone.clusters, grouped.clusters) == (200, 10)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for i in range(100):
        folds = [(rng.normal(0.3, 1, size=n), np.arange(n)) for n in (40, 60)]
        interval = stratified(folds, resamples=400, seed=i)
        hits += interval.low <= 0.3 <= interval.high
    assert 88 <= hits <= 100


def test_the_p_value_is_small_for_a_real_and_large_for_no_difference():
    rng = np.random.default_rng(2)
    noise = [(rng.normal(0, 1, size=40), np.arange(40)) for _ in range(2)]
    assert stratified_p(noise) > 0.05
    assert stratified_p([(v + 2, c) for v, c in noise]) < 0.01


def test_the_summary_by_hand():
    cells = [
        cell("A", "baseline", 0, [0.2, 0.4, 1.0], empty=[0, 0, 1]),
        cell("A", "baseline", 1, [0.4, 0.6, 0.0], empty=[0, 0, 1]),
        cell("B", "baseline", 0, [0.8]),
        cell("A", "full", 0, [0.6, 0.8, 1.0], empty=[0, 0, 1]),
        cell("B", "full", 0, [0.9]),
    ]
    found = tabulate_lodo(cells, [("full", "baseline")])
    baseline = found.rows["baseline"]
    assert baseline.folds["A"].dice.estimate == pytest.approx(0.4)
    assert baseline.folds["A"].null_accuracy == pytest.approx(0.5)
    assert baseline.folds["B"].null_accuracy is None
    assert baseline.folds["A"].seed_dice == {0: pytest.approx(0.3), 1: pytest.approx(0.5)}
    assert baseline.mean["dice"].estimate == pytest.approx(0.6)
    assert baseline.worst_fold == "A"
    (comparison,) = found.comparisons
    assert comparison.difference.estimate == pytest.approx((0.3 + 0.1) / 2)
    assert comparison.over_seeds is None  # both have seed 0 alone in every domain
    table = lodo_markdown(found)
    assert "| baseline | 0.400 [" in table
    assert "full - baseline | +0.200 [" in table


def test_a_gain_that_one_seed_carries_is_of_these_runs_alone():
    rng = np.random.default_rng(0)
    base = {fold: rng.uniform(0.3, 0.5, 50) for fold in "AB"}
    gains = {"luck": (0.3, 0.0, 0.0), "sure": (0.1, 0.11, 0.1)}
    cells = [cell(f, "baseline", seed, base[f]) for f in "AB" for seed in range(3)]
    cells += [
        cell(fold, row, seed, base[fold] + gain)
        for row, values in gains.items()
        for fold in "AB"
        for seed, gain in enumerate(values)
    ]
    luck, sure = tabulate_lodo(cells, [("luck", "baseline"), ("sure", "baseline")]).comparisons
    assert luck.p_holm < 0.01
    assert luck.difference.low > 0
    assert not luck.holds
    assert "On these runs luck is better" in luck.claim
    assert sure.holds
    (one,) = tabulate_lodo(
        cells[:1] + cells[3:4] + cells[-6:-5] + cells[-3:-2], [("sure", "baseline")]
    ).comparisons
    assert not one.holds
    assert "one seed per side says nothing about the methods" in one.claim


def test_an_unfinished_row_has_no_mean_and_is_not_compared():
    cells = [
        cell("A", "baseline", 0, [0.2]),
        cell("B", "baseline", 0, [0.2]),
        cell("A", "full", 0, [0.3]),
    ]
    found = tabulate_lodo(cells, [("full", "baseline")])
    assert found.comparisons == []
    assert found.rows["full"].mean is None
    assert "| full | 0.300" in lodo_markdown(found)


def test_runs_on_other_images_are_refused():
    with pytest.raises(InputError, match="different images"):
        tabulate_lodo([cell("A", "full", 0, [0.1]), cell("A", "full", 1, [0.1, 0.2])], [])
