"""Intervals and tests against SciPy, closed forms and slow loops."""

import itertools

import numpy as np
import pytest
from scipy import stats

from causalseg.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_codes,
    holm,
    micro_dice,
    micro_iou,
    paired_test,
    sign_flip_p,
)


def test_bootstrap_agrees_with_scipy_on_independent_data():
    values = np.random.default_rng(0).beta(5, 2, 80)
    ours = cluster_bootstrap(values, np.arange(80), seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=2
    ).confidence_interval
    assert ours.estimate == pytest.approx(values.mean())
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_micro_bootstrap_agrees_with_a_loop():
    generator = np.random.default_rng(3)
    columns = generator.integers(0, 50, (40, 3)).astype(float)
    clusters = generator.integers(0, 12, 40)
    members = [np.flatnonzero(clusters == c) for c in np.unique(clusters)]
    draws = []
    for _ in range(4000):
        picked = np.concatenate(
            [members[i] for i in generator.integers(0, len(members), len(members))]
        )
        tp, fp, fn = columns[picked].sum(0)
        draws.append(2 * tp / (2 * tp + fp + fn))
    ours = cluster_bootstrap(columns, clusters, micro_dice)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert ours.low == pytest.approx(low, abs=0.06 * (high - low))
    assert ours.high == pytest.approx(high, abs=0.06 * (high - low))
    iou = cluster_bootstrap(columns, clusters, micro_iou)
    assert iou.estimate == pytest.approx(ours.estimate / (2 - ours.estimate))


def test_clusters_widen_the_interval():
    subject = np.repeat(np.arange(20), 10)
    values = np.random.default_rng(0).normal(size=20)[subject]
    clustered = cluster_bootstrap(values, subject)
    naive = cluster_bootstrap(values, np.arange(200))
    assert clustered.high - clustered.low > 2.5 * (naive.high - naive.low)
    assert (clustered.clusters, naive.clusters) == (20, 200)


def test_cluster_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    subject = np.repeat(np.arange(60), 3)
    hits = 0
    for trial in range(200):
        values = generator.normal(size=60)[subject] + generator.normal(size=180)
        interval = cluster_bootstrap(values, subject, resamples=500, seed=trial)
        hits += interval.low <= 0 <= interval.high
    assert 178 <= hits <= 199


def test_seed_decides_and_bad_values_are_refused():
    values, clusters = np.arange(30.0), np.arange(30)
    same = [cluster_bootstrap(values, clusters, seed=4) for _ in range(2)]
    assert same[0] == same[1] != cluster_bootstrap(values, clusters, seed=5)
    with pytest.raises(ValueError, match="finite"):
        cluster_bootstrap(np.full(30, np.nan), clusters)


def test_images_without_subject_are_their_own_clusters():
    codes = cluster_codes(["a", None, "a", None, "image 1"])
    assert codes[0] == codes[2]
    assert len(set(codes)) == 4


def test_sign_flip_enumerates_small_cases():
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.25])
    signs = np.array(list(itertools.product([-1, 1], repeat=5)))
    expected = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-12)
    assert sign_flip_p(values, np.arange(5)) == pytest.approx(expected)
    # Two subjects allow four patterns; the most extreme has its mirror: p = 2 / 4.
    assert sign_flip_p(np.ones(10), np.repeat([0, 1], 5)) == 0.5


def test_sign_flip_agrees_with_scipy():
    generator = np.random.default_rng(8)
    values = generator.normal(0.25, 1, 60)
    theirs = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert sign_flip_p(values, np.arange(60)) == pytest.approx(theirs, abs=0.015)


def test_no_difference_gives_p_of_one():
    result = paired_test(np.ones(20), np.ones(20), np.arange(20))
    assert result.p == 1
    assert (result.difference.low, result.difference.high) == (0, 0)


def test_holm_by_hand():
    # 3 * .01; max(.03, 2 * .04); max(.08, 1 * .03)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_interval_in_words_takes_the_form_of_its_numbers():
    interval = Interval(0.12345, -0.5, 1.0, 0.95, 7)
    assert f"{interval}" == str(interval) == "0.1235 [-0.5000, 1.0000]"
    assert f"{interval:+.3f}" == "+0.123 [-0.500, +1.000]"
