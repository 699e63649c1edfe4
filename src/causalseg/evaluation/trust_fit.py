"""Turn what validation images say into the thresholds and scales of a checkpoint's checks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata, spearmanr

from causalseg.errors import InputError
from causalseg.evaluation.risk import risk_coverage
from causalseg.evaluation.seen import Seen
from causalseg.models.checks import ImageCheck, OverlapEstimate, PlaceCheck
from causalseg.models.presence import FindingHead, PresenceCheck

TEMPERATURES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
COMPONENTS = 32
FALSE_ALARMS = 0.01
MOST_LOST = 0.005
"""Largest mean Dice that leaving healthy lungs empty may cost on validation."""
MOST_DOUBTED = 0.15
"""Share of validation lungs with a finding that are left empty or whose mask is doubted."""
MOST_ZONES_DOUBTED = 0.05
"""Share of the zones with a finding that validation captions name whose mask is doubted."""
COVERAGE = 0.8
GRID = 32
RARE = 3
"""A cell that fewer training masks touch counts as outside the lungs."""


@dataclass(frozen=True)
class TrustReport:
    """What the checks do on the validation images that set them."""

    images: int
    null_accuracy_before: float
    """Share of healthy lungs, named where only the other has a finding, whose mask was empty."""
    null_accuracy: float
    told: float
    """Share of those healthy lungs whose mask is empty or doubted."""
    zones: int
    """Zones without a finding, in a lung of which the caption names others."""
    zones_told_by_lung: float
    """Share of those that are empty or doubted, when they are named, for their lung's evidence."""
    zones_told: float
    """The same for their own evidence too."""
    auroc: float
    """AUROC of the evidence: named lungs with a finding against healthy ones."""
    wrongly_empty: float
    """Share of named lungs with a finding that are left empty."""
    wrongly_doubted: float
    """Share of named lungs with a finding that are left empty, or doubted for their own evidence
    or that of the zones named."""
    dice_before: float
    dice: float
    dice_doubted: float | None
    """Mean Dice of the images with a lung with a finding that is left empty or doubted."""
    dice_believed: float | None
    """Mean Dice of the others."""
    spearman: float
    """Rank correlation of expected and true Dice, each half of the subjects judged by the other."""
    expected_error: float
    """Mean absolute difference of expected and true Dice, likewise."""
    covered: float
    """Share of true Dice between the bounds, likewise."""
    aurc: float
    aurc_optimal: float


def set_image(summaries: NDArray[np.float32], seen: Sequence[Seen]) -> ImageCheck:
    """Components of training features (N, D), and the distance that few validation images pass."""
    mean, scale = summaries.mean(0), summaries.std(0) + 1e-6
    _, _, directions = np.linalg.svd((summaries - mean) / scale, full_matrices=False)
    check = ImageCheck(mean, scale, directions[:COMPONENTS].copy(), 1.0, FALSE_ALARMS)
    distances = [check.distance(one.summary) for one in seen if one.summary is not None]
    threshold = float(np.quantile(distances, 1 - FALSE_ALARMS))
    return ImageCheck(mean, scale, check.components, threshold, FALSE_ALARMS)


def set_presence(seen: Sequence[Seen], head: FindingHead) -> PresenceCheck:
    """Leave as much empty as costs `MOST_LOST` of mean Dice, and doubt `MOST_DOUBTED`."""
    ill, healthy = (np.array(found) for found in lungs(seen))
    if not len(ill) or not len(healthy):
        raise InputError(
            "to tell healthy lungs, captions must name one lung in some images and the masks "
            "agree: there are none such in the validation split."
        )
    before = np.mean([one.dice() for one in seen])
    empty = 0.0
    for threshold in np.quantile(ill, np.linspace(0, MOST_DOUBTED, 301)):
        if before - np.mean([one.dice(float(threshold)) for one in seen]) <= MOST_LOST:
            empty = float(threshold)
    doubt = max(empty, float(np.quantile(ill, MOST_DOUBTED)))
    named = [h for one in seen for h in one.halves if h.named and h.truth]
    asked = np.array([h.asked for h in named if h.asked is not None])
    others = np.array([p for h in named for p in h.others])
    zone = float(np.quantile(asked, MOST_ZONES_DOUBTED)) if len(asked) else 0.0
    return PresenceCheck(
        head.vector(),
        head.reduce.in_channels,
        head.reduce.out_channels,
        empty,
        doubt,
        missed=float(np.mean(ill < empty)),
        doubted=float(np.mean(ill < doubt)),
        healthy=float(np.mean(healthy < doubt)),
        zone=zone,
        zone_doubted=_share(asked < zone),
        zone_healthy=_share(others < zone),
    )


def set_overlap(seen: Sequence[Seen], threshold: float) -> OverlapEstimate:
    """The temperature whose scores rank best, and the Dice for each score."""
    dice = np.array([one.dice(threshold) for one in seen])
    scores = np.array([one.scores for one in seen])
    drawn = ~np.isnan(scores[:, 0])
    ranks = [spearmanr(column[drawn], dice[drawn]).statistic for column in scores.T]
    best = int(np.argmax(ranks))
    knots = _knots(scores[drawn, best], dice[drawn])
    return OverlapEstimate(TEMPERATURES[best], knots, COVERAGE)


def set_place(places: NDArray[np.int64], seen: Sequence[Seen]) -> PlaceCheck:
    """Cells that training masks touch, and how far ordinary masks leave them."""
    support = (places >= RARE).astype(np.float32)
    shares = [
        float((one.cells & (support == 0)).sum() / one.cells.sum())
        for one in seen
        if one.cells.any()
    ]
    return PlaceCheck(support, max(float(np.quantile(shares, 0.99)), 0.02))


def lungs(seen: Sequence[Seen]) -> tuple[list[float], list[float]]:
    """Evidence of named lungs with a finding, and of healthy lungs."""
    ill = [h.evidence for one in seen for h in one.halves if h.named and h.truth]
    healthy = [one.healthy.evidence for one in seen if one.healthy is not None]
    return ill, healthy


def report(seen: Sequence[Seen], presence: PresenceCheck) -> TrustReport:
    """What the checks do on these images."""
    ill, healthy = lungs(seen)
    threshold = presence.empty
    asked = [one for one in seen if one.other_empty is not None and one.healthy is not None]
    emptied = [
        bool(one.other_empty) or (one.healthy is not None and one.healthy.evidence < threshold)
        for one in asked
    ]
    told = [
        empty or (one.healthy is not None and one.healthy.evidence < presence.doubt)
        for one, empty in zip(asked, emptied, strict=True)
    ]
    dice = np.array([one.dice(threshold) for one in seen])
    doubted = np.array([one.doubted(presence) for one in seen])
    named = [h for one in seen for h in one.halves if h.named and h.truth]
    by_lung = np.array([h.evidence < presence.doubt for h in named for _ in h.others], bool)
    by_zone = np.array([p < presence.zone for h in named for p in h.others], bool)
    expected, low, high = _by_the_other_half(seen, threshold)
    drawn = ~np.isnan(expected)
    curve = risk_coverage(np.where(drawn, expected, 0.0), 1 - dice)
    return TrustReport(
        images=len(seen),
        null_accuracy_before=float(np.mean([bool(one.other_empty) for one in asked])),
        null_accuracy=float(np.mean(emptied)),
        told=float(np.mean(told)),
        zones=len(by_zone),
        zones_told_by_lung=_share(by_lung),
        zones_told=_share(by_lung | by_zone),
        auroc=auroc(ill, healthy),
        wrongly_empty=float(np.mean(np.array(ill) < threshold)),
        wrongly_doubted=_share(np.array([h.doubted(presence) for h in named])),
        dice_before=float(np.mean([one.dice() for one in seen])),
        dice=float(dice.mean()),
        dice_doubted=_mean(dice[doubted]),
        dice_believed=_mean(dice[~doubted]),
        spearman=float(spearmanr(expected[drawn], dice[drawn]).statistic),
        expected_error=float(np.abs(expected - dice)[drawn].mean()),
        covered=float(((low <= dice) & (dice <= high))[drawn].mean()),
        aurc=curve.aurc,
        aurc_optimal=curve.optimal_aurc,
    )


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Probability that a positive ranks above a negative, ties counted half."""
    ranks = rankdata([*positive, *negative])[: len(positive)]
    return float((ranks.mean() - (len(positive) + 1) / 2) / len(negative))


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _by_the_other_half(
    seen: Sequence[Seen], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Expected Dice and its bounds, each half of the subjects judged by the other half's scale."""
    subjects = sorted({one.subject for one in seen})
    first = np.array([subjects.index(one.subject) % 2 == 0 for one in seen])
    out = np.full((3, len(seen)), np.nan)
    for part in (first, ~first):
        judge = set_overlap(
            [one for one, here in zip(seen, part, strict=True) if not here], threshold
        )
        column = TEMPERATURES.index(judge.temperature)
        scores, *curves = judge.knots
        mine = np.array([one.scores[column] for one in seen])
        for row, curve in zip(out, curves, strict=True):
            row[part] = np.interp(mine, scores, curve)[part]
    out[:, np.isnan([one.scores[0] for one in seen])] = np.nan
    return out[0], out[1], out[2]


def _knots(scores: NDArray[np.float64], dice: NDArray[np.float64]) -> NDArray[np.float32]:
    """(4, N): ascending scores, the mean Dice there, and the quantiles that hold `COVERAGE`."""
    order = np.argsort(scores)
    groups = np.array_split(order, max(2, min(20, len(order) // 25)))
    tail = (1 - COVERAGE) / 2
    rows = [
        [
            scores[g].mean(),
            dice[g].mean(),
            np.quantile(dice[g], tail),
            np.quantile(dice[g], 1 - tail),
        ]
        for g in groups
    ]
    table = np.array(rows).T
    for i in (1, 2, 3):
        table[i] = isotonic_regression(table[i]).x
    found: NDArray[np.float32] = table.astype(np.float32)
    return found
