"""From per-image rows to the figures of a set: macro, micro, intervals, calibration, controls."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalseg.data.manifest import Manifest
from causalseg.evaluation.controls import CONTROL_THRESHOLD, ControlScores
from causalseg.evaluation.metrics import BoolArray, FloatArray, iou_of_dice
from causalseg.evaluation.risk import risk_coverage
from causalseg.evaluation.scoring import NATIVE_PREFIX, Scores, column
from causalseg.evaluation.set_metrics import (
    CONTROLS,
    CalibrationMetrics,
    ControlResults,
    CountedInterval,
    ReliabilityBins,
    ScoredData,
    SelectiveRisk,
    SetMetrics,
    SizeMetrics,
)
from causalseg.evaluation.statistics import (
    Interval,
    Statistic,
    cluster_bootstrap,
    cluster_codes,
    macro,
    micro_dice,
    micro_iou,
)

if TYPE_CHECKING:
    from causalseg.evaluation.running import TextControls

MACRO = ("dice", "iou", "nsd", "hd95", "lesion_f1")


def summarise(
    scores: Scores,
    manifest: Manifest,
    run: Mapping[str, object],
    controls: ControlResults | None = None,
) -> SetMetrics:
    """The figures of one manifest.

    Args:
        scores: of each of its images.
        manifest: what was scored.
        run: how; kept as it is.
        controls: of `summarise_controls`; None where none were wanted.

    """
    rows = scores.rows
    clusters = _clusters(scores)
    lesion = column(rows, "empty") == 0
    silent = _silent(scores, NATIVE_PREFIX)
    return SetMetrics(
        data=ScoredData(
            root=manifest.root.name,
            split=manifest.split,
            fingerprint=manifest.fingerprint(),
            left_out=[f"{p.where}: {p.message}" for p in manifest.left_out],
        ),
        options=scores.options,
        images=len(rows),
        subjects=len(np.unique(clusters)),
        images_without_known_subject=sum(not row["subject"] for row in rows),
        predictions_resized=scores.resized,
        images_with_lesion=int(lesion.sum()),
        lesions_left_empty=int((lesion & silent).sum()),
        model_size=_at_size(scores, clusters, ""),
        native_size=_at_size(scores, clusters, NATIVE_PREFIX),
        calibration=_calibration(scores, clusters),
        risk_coverage=_selective_risk(scores),
        run=run,
        controls=controls,
    )


def _clusters(scores: Scores) -> NDArray[np.int64]:
    return cluster_codes([row["subject"] or None for row in scores.rows])


def _silent(scores: Scores, prefix: str) -> BoolArray:
    """Images for which nothing is predicted at that size."""
    predicted = column(scores.rows, prefix + "tp") + column(scores.rows, prefix + "fp")
    return np.asarray(predicted == 0)


def _interval(
    scores: Scores,
    values: ArrayLike,
    clusters: NDArray[np.int64],
    statistic: Statistic = macro,
) -> Interval:
    options = scores.options
    return cluster_bootstrap(
        values, clusters, statistic, resamples=options.resamples, seed=options.seed
    )


def _counted(
    scores: Scores, values: ArrayLike, clusters: NDArray[np.int64], keep: BoolArray
) -> CountedInterval:
    """Over the images to keep; `values` and `clusters` are of all images."""
    found = _interval(scores, np.asarray(values)[keep], clusters[keep])
    return CountedInterval(
        found.estimate, found.low, found.high, found.level, found.clusters, int(keep.sum())
    )


def _at_size(scores: Scores, clusters: NDArray[np.int64], prefix: str) -> SizeMetrics:
    rows = scores.rows
    counts = np.column_stack([column(rows, prefix + key) for key in ("tp", "fp", "fn")])
    dice = column(rows, prefix + "dice")
    micro = {
        "dice": _interval(scores, counts, clusters, micro_dice),
        "iou": _interval(scores, counts, clusters, micro_iou),
    }
    empty = column(rows, "empty") == 1
    mixed = empty.any() and not empty.all()
    silent = _silent(scores, prefix)
    return SizeMetrics(
        macro={key: _interval(scores, column(rows, prefix + key), clusters) for key in MACRO},
        micro=micro,
        micro_iou_from_dice=float(iou_of_dice(micro["dice"].estimate)),
        null_accuracy=_counted(scores, silent, clusters, empty) if empty.any() else None,
        macro_dice_where_a_lesion_is=(
            _interval(scores, dice[~empty], clusters[~empty]) if mixed else None
        ),
    )


def _calibration(scores: Scores, clusters: NDArray[np.int64]) -> CalibrationMetrics | None:
    bins = scores.reliability
    if bins is None:
        return None
    return CalibrationMetrics(
        brier=_interval(scores, column(scores.rows, "brier"), clusters),
        ece=_interval(scores, column(scores.rows, "ece"), clusters),
        bins=ReliabilityBins(
            pixels=bins.pixels.tolist(),
            mean_probability=_mean(bins.probability, bins.pixels),
            foreground_share=_mean(bins.foreground, bins.pixels),
        ),
    )


def _mean(sums: FloatArray, pixels: FloatArray) -> list[float | None]:
    return [float(s / n) if n else None for s, n in zip(sums, pixels, strict=True)]


def _selective_risk(scores: Scores) -> SelectiveRisk | None:
    if scores.reliability is None:
        return None
    curve = risk_coverage(column(scores.rows, "confidence"), 1 - column(scores.rows, "dice"))
    return SelectiveRisk(
        aurc=curve.aurc,
        optimal_aurc=curve.optimal_aurc,
        mean_risk=float(curve.risk[-1]),
        coverage=curve.coverage.tolist(),
        selective_risk=curve.risk.tolist(),
    )


def summarise_controls(
    scores: Scores, masks: ControlScores | None, texts: "TextControls | None"
) -> ControlResults:
    """Macro Dice of whichever controls were run, with intervals.

    Args:
        scores: of the same images, for their subjects and options.
        masks: the mean training masks; None where the data has no training split.
        texts: empty and exchanged captions; None where no model was run.

    """
    clusters = _clusters(scores)
    everywhere = np.ones(len(scores.rows), bool)

    def mean(values: FloatArray, keep: BoolArray = everywhere) -> CountedInterval:
        return _counted(scores, values, clusters, keep)

    found = ControlResults()
    if masks is not None:
        found = replace(
            found,
            threshold=CONTROL_THRESHOLD,
            mean_mask=mean(masks.mean_mask),
            caption_mean_mask=mean(masks.caption_mask),
            captions_never_seen_in_training=masks.unseen_captions,
        )
    if texts is not None:
        found = replace(found, no_text=mean(texts.without_text), other_text=mean(texts.other_text))
        if texts.no_place is not None:
            found = replace(found, no_place=mean(texts.no_place))
        differs = texts.other_differs
        if differs.any() and not differs.all():
            where = mean(texts.other_text, differs)
            found = replace(found, other_text_where_different=where)
    return found


def control_rows(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(words, interval) of each control in a stored metrics.json.

    Files of the first versions have the words as keys, and read the same.
    """
    found = (metrics.get("controls") or {}).items()
    return [(CONTROLS.get(key, key), value) for key, value in found if isinstance(value, dict)]
