"""Thresholds and scales from what validation images tell, against slow forms and known answers."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causalseg.data.images import read_image
from causalseg.data.lvit import read_lvit
from causalseg.data.phantom import make_phantoms
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.evaluation.presence_fit import coarse, train_head
from causalseg.evaluation.seen import Half, Seen, SeenZone
from causalseg.evaluation.trust import calibrate, steps
from causalseg.evaluation.trust_fit import (
    GRID,
    MOST_LOST,
    TEMPERATURES,
    auroc,
    lungs,
    report,
    set_image,
    set_overlap,
    set_presence,
)
from causalseg.inference.segmenter import Segmenter
from causalseg.models.presence import FindingHead, evidence
from causalseg.models.registry import build_model


def seen(rng: np.random.Generator, number: int) -> Seen:
    """One lung with a finding and strong evidence, one healthy with weak evidence, by chance."""
    ill = Half(float(rng.uniform(0.3, 1)), True, 100, 90, int(rng.integers(10, 90)))
    healthy = Half(float(rng.uniform(0, 0.5)), False, 0, 0, 0)
    scores = tuple(ill.common / 90 + 0.01 * rng.normal() for _ in TEMPERATURES)
    cells = np.zeros((GRID, GRID), bool)
    cells[3, 3] = True
    summary = rng.normal(size=8).astype(np.float32)
    return Seen(f"s{number // 2}", (ill, healthy), scores, False, summary, cells)


HEAD = FindingHead(4, 2)
CASES = [seen(np.random.default_rng((0, i)), i) for i in range(300)]


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auroc_counts_pairs(positive: list[float], negative: list[float]) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p, n in product(positive, negative)]
    assert auroc(positive, negative) == pytest.approx(np.mean(pairs))


def test_dice_without_the_halves_that_show_nothing() -> None:
    one = CASES[0]
    ill = one.halves[0]
    assert one.dice() == pytest.approx(2 * ill.common / 190)
    assert one.dice(ill.evidence + 0.01) == 0
    assert one.healthy is one.halves[1]
    both = replace(one, halves=(ill, replace(ill, named=True)))
    assert both.healthy is None


def test_the_presence_threshold_empties_as_much_as_the_dice_allows() -> None:
    check = set_presence(CASES, HEAD)
    before = np.mean([one.dice() for one in CASES])
    assert before - np.mean([one.dice(check.empty) for one in CASES]) <= MOST_LOST
    assert check.empty > 0.3  # no finding has less evidence
    ill = np.array([one.halves[0].evidence for one in CASES])
    assert check.missed == np.mean(ill < check.empty)
    assert check.doubt >= check.empty
    assert check.doubted == np.mean(ill < check.doubt)
    assert check.healthy == np.mean([one.halves[1].evidence < check.doubt for one in CASES])
    found = report(CASES, check)
    healthy = [one.halves[1].evidence < check.empty for one in CASES]
    assert found.null_accuracy == np.mean(healthy)
    assert found.null_accuracy_before == 0
    assert found.told == check.healthy
    flagged = np.array([one.halves[0].evidence < check.doubt for one in CASES])
    dice = np.array([one.dice(check.empty) for one in CASES])
    assert found.dice_doubted == pytest.approx(dice[flagged].mean())
    assert found.dice_believed == pytest.approx(dice[~flagged].mean())
    assert (found.wrongly_empty, found.wrongly_doubted) == (check.missed, check.doubted)
    assert found.auroc == pytest.approx(auroc(*lungs(CASES)))
    nobody_healthy = [replace(one, halves=(one.halves[0],) * 2) for one in CASES]
    with pytest.raises(InputError, match="name one lung"):
        set_presence(nobody_healthy, HEAD)


def test_one_in_twenty_of_the_zones_with_a_finding_is_doubted() -> None:
    rng = np.random.default_rng(3)
    cases = []
    for one in CASES[:100]:
        upper = SeenZone(float(rng.uniform(0, 0.5)), named=False, clear=True)
        lower = SeenZone(float(rng.uniform(0.3, 1)), named=True, clear=False)
        middle = replace(lower, named=False)  # neither named nor clear: tells nothing
        ill = replace(one.halves[0], zones=(upper, middle, lower))
        cases.append(replace(one, halves=(ill, one.halves[1])))
    check = set_presence(cases, HEAD)
    named = np.array([one.halves[0].zones[2].evidence for one in cases])
    clear = np.array([one.halves[0].zones[0].evidence for one in cases])
    assert check.zone_doubted == pytest.approx(0.05)
    assert check.zone_doubted == np.mean(named < check.zone)
    assert check.zone_healthy == np.mean(clear < check.zone)
    lungs_doubted = np.array([one.halves[0].evidence < check.doubt for one in cases])
    found = report(cases, check)
    assert found.zones == len(cases)
    assert found.zones_told_by_lung == lungs_doubted.mean()
    assert found.zones_told == np.mean(lungs_doubted | (clear < check.zone))
    assert found.wrongly_doubted == np.mean(lungs_doubted | (named < check.zone))
    # A caption that names the whole lung asks for no zone.
    whole = replace(cases[0].halves[0], zones=(replace(lower, evidence=0.0),) * 3)
    assert whole.asked is None
    assert set_presence(CASES[:20], HEAD).zone == 0


def test_expected_dice_is_right_on_the_whole_and_its_bounds_hold() -> None:
    estimate = set_overlap(CASES, 0.0)
    scores, dice, low, high = estimate.knots
    assert (np.diff(scores) > 0).all()
    for curve in (dice, low, high):
        assert (np.diff(curve) >= -1e-6).all()
    assert (low <= high).all()
    true = np.array([one.dice() for one in CASES])
    column = TEMPERATURES.index(estimate.temperature)
    expected = np.interp([one.scores[column] for one in CASES], scores, dice)
    assert expected.mean() == pytest.approx(true.mean(), abs=0.01)
    found = report(CASES, set_presence(CASES, HEAD))
    assert found.spearman > 0.9
    assert 0.65 < found.covered < 0.95
    assert found.aurc_optimal <= found.aurc < 1 - true.mean()


def test_one_image_in_a_hundred_is_called_unlike() -> None:
    rng = np.random.default_rng(1)
    check = set_image(rng.normal(size=(200, 40)).astype(np.float32), [
        replace(one, summary=rng.normal(size=40).astype(np.float32)) for one in CASES
    ])  # fmt: skip
    alarms = [check.warning(rng.normal(size=40)) is not None for _ in range(1000)]
    assert np.mean(alarms) < 0.05
    assert check.warning(np.full(40, 6.0)) is not None


def test_a_model_is_calibrated_on_a_data_set(tiny_checkpoint: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "set", 100, seed=0, size=64)
    segmenter = Segmenter.load(tiny_checkpoint)
    segmenter.provenance = {"card": {"trained on": "QaTa-COV19"}}
    train, val = (read_lvit(tmp_path / "set", split) for split in ("train", "val"))
    done: list[int] = []
    trust, found = calibrate(segmenter, train, val, sample=40, tick=lambda: done.append(1))
    assert len(done) == steps(train, val)
    assert trust.image is not None
    assert trust.place is not None
    assert found.images == len(val)
    assert found.dice >= found.dice_before - MOST_LOST
    assert segmenter.trust.presence is None  # the model that was asked is left as it was


def test_a_model_without_features_of_the_image_alone_is_refused(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "set", 40, seed=0, size=64)
    train, val = (read_lvit(tmp_path / "set", split) for split in ("train", "val"))
    model = build_model("lvit", size="compact")
    segmenter = Segmenter(model, Preprocessing(size=64, reader=model.reader(24)), 0.5)
    with pytest.raises(InputError, match="nothing of the image alone"):
        calibrate(segmenter, train, val)


def test_the_head_learns_where_features_show_a_finding_in_a_mirrored_image_too() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((200, 40, 40), np.uint8)
    for mask, lungs_ill in zip(masks, rng.integers(0, 2, (200, 2)), strict=True):
        for side in np.flatnonzero(lungs_ill):
            row, column = rng.integers(0, 26), 20 * side + rng.integers(0, 6)
            mask[row : row + 14, column : column + 14] = 1
    # Of eight channels one shows the mask, far from the standard scale, and another one shows it in
    # the mirrored image, as a tower that has seen no mirrored chest may; the others are noise.
    deep = rng.normal(size=(200, 2, 8, 10, 10)).astype(np.float32)
    cells = masks.reshape(200, 10, 4, 10, 4).mean((2, 4))
    deep[:, :, 3] += 40
    deep[:, 0, 3] += 5 * cells
    deep[:, 1, 5] += 5 * cells[:, :, ::-1]
    shares = np.stack([coarse(mask) for mask in masks])
    np.testing.assert_allclose(shares, masks.reshape(200, 20, 2, 20, 2).mean((2, 4)))
    head = train_head(np.tile(deep[:140], (2, 1, 1, 1, 1)).astype(np.float16),
                      np.tile(shares[:140], (2, 1, 1)))  # fmt: skip
    present = np.stack([masks[140:, :, :20].any((1, 2)), masks[140:, :, 20:].any((1, 2))], 1)
    for features, sides in ((deep[140:, 0], present), (deep[140:, 1], present[:, ::-1])):
        with torch.no_grad():
            found = evidence(head(torch.from_numpy(features))).numpy()
        assert auroc(found[sides].tolist(), found[~sides].tolist()) > 0.9


def test_the_packaged_head_judges_a_lung_alike_in_the_mirrored_image(qata_root: Path) -> None:
    segmenter = Segmenter.load("default")
    check = segmenter.trust.presence
    assert check is not None
    found = []
    for record in read_lvit(qata_root, "val").records[:480:40]:
        image = read_image(record.image)
        deep = segmenter.encode([image, np.fliplr(image)]).deep
        assert deep is not None
        plain, mirrored = (check.evidence(one.numpy()) for one in deep)
        found.append((plain, mirrored[::-1]))
    plain, mirrored = np.array(found).swapaxes(0, 1)
    # A head trained without mirrored images: 0.12 and 0.64.
    assert np.abs(plain - mirrored)[..., 0].mean() < 0.1
    assert np.corrcoef(plain[..., 0].ravel(), mirrored[..., 0].ravel())[0, 1] > 0.8
