"""From per-image rows to the figures of a set: macro, micro, intervals, calibration, controls."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from causalseg.data.manifest import Manifest
from causalseg.evaluation.controls import CONTROL_THRESHOLD, ControlScores
from causalseg.evaluation.metrics import EMPTY_RULE, FloatArray, iou_of_dice
from causalseg.evaluation.risk import risk_coverage
from causalseg.evaluation.scoring import _NATIVE, Scores, column
from causalseg.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_codes,
    micro_dice,
    micro_iou,
)
from causalseg.evaluation.surface import LESION_RULE
from causalseg.files import Row
from causalseg.version import __version__

if TYPE_CHECKING:
    from causalseg.evaluation.running import TextControls

MACRO = ("dice", "iou", "nsd", "hd95", "lesion_f1")


def summarise(scores: Scores, manifest: Manifest) -> dict[str, Any]:
    """Everything that goes into metrics.json, from the scores of one manifest."""
    rows, options = scores.rows, scores.options
    clusters = cluster_codes([row["subject"] or None for row in rows])
    metrics: dict[str, Any] = {
        "version": __version__,
        "data": {
            "root": manifest.root.name,
            "split": manifest.split,
            "fingerprint": manifest.fingerprint(),
            "left_out": [f"{p.where}: {p.message}" for p in manifest.left_out],
        },
        "options": asdict(options) | {"unit": options.unit},
        "rules": {"empty masks": EMPTY_RULE, "lesions": LESION_RULE},
        "images": len(rows),
        "subjects": len(np.unique(clusters)),
        "images_without_known_subject": sum(not row["subject"] for row in rows),
        "predictions_resized": scores.resized,
        "model_size": _at_size(rows, clusters, scores, ""),
        "native_size": _at_size(rows, clusters, scores, _NATIVE),
    }
    if scores.reliability is not None:
        metrics |= _calibration(rows, clusters, scores)
    return metrics


def _at_size(rows: list[Row], clusters: Any, scores: Scores, prefix: str) -> dict[str, Any]:
    seed, resamples = scores.options.seed, scores.options.resamples

    def interval(values: Any, of: Any, *statistic: Any) -> dict[str, Any]:
        found = cluster_bootstrap(values, of, *statistic, resamples=resamples, seed=seed)
        return asdict(found)

    counts = np.column_stack([column(rows, prefix + key) for key in ("tp", "fp", "fn")])
    micro = {
        "dice": interval(counts, clusters, micro_dice),
        "iou": interval(counts, clusters, micro_iou),
    }
    result: dict[str, Any] = {
        "macro": {key: interval(column(rows, prefix + key), clusters) for key in MACRO},
        "micro": micro,
        # One line that tells a micro from a macro value: this must equal micro.iou.
        "micro_iou_from_dice": float(iou_of_dice(micro["dice"]["estimate"])),
        "null_accuracy": None,
        "macro_dice_where_a_lesion_is": None,
    }
    empty = column(rows, "empty") == 1
    if empty.any():
        silent = counts[empty, :2].sum(1) == 0
        result["null_accuracy"] = interval(silent, clusters[empty]) | {"images": int(empty.sum())}
        if not empty.all():
            dice = column(rows, prefix + "dice")[~empty]
            result["macro_dice_where_a_lesion_is"] = interval(dice, clusters[~empty])
    return result


def _calibration(rows: list[Row], clusters: Any, scores: Scores) -> dict[str, Any]:
    bins = scores.reliability
    assert bins is not None
    seed, resamples = scores.options.seed, scores.options.resamples
    curve = risk_coverage(column(rows, "confidence"), 1 - column(rows, "dice"))
    return {
        "calibration": {
            key: asdict(
                cluster_bootstrap(column(rows, key), clusters, resamples=resamples, seed=seed)
            )
            for key in ("brier", "ece")
        }
        | {
            "bins": {
                "pixels": bins.pixels.tolist(),
                "mean_probability": _mean(bins.probability, bins.pixels),
                "foreground_share": _mean(bins.foreground, bins.pixels),
            }
        },
        "risk_coverage": {
            "confidence": "soft Dice of the probabilities with their own mask",
            "risk": "1 - Dice",
            "aurc": curve.aurc,
            "optimal_aurc": curve.optimal_aurc,
            "mean_risk": float(curve.risk[-1]),
            "coverage": curve.coverage.tolist(),
            "selective_risk": curve.risk.tolist(),
        },
    }


def _mean(sums: Any, pixels: Any) -> list[float | None]:
    return [float(s / n) if n else None for s, n in zip(sums, pixels, strict=True)]


CONTROLS = {
    "mean_mask": "mean training mask",
    "caption_mean_mask": "mean mask of the caption",
    "no_text": "image without text",
    "no_place": "text that names no place: what the image alone earns",
    "other_text": "text of another image",
    "other_text_where_different": "text of another image, where it reads differently",
}
"""Key of a control in metrics.json -> what it is, in words."""


def control_rows(metrics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(words, interval) of each control in a metrics.json.

    Files of the first versions have the words as keys, and read the same.
    """
    found = (metrics.get("controls") or {}).items()
    return [(CONTROLS.get(key, key), value) for key, value in found if isinstance(value, dict)]


def summarise_controls(controls: ControlScores, scores: Scores) -> dict[str, Any]:
    """Macro Dice of the trivial controls with intervals, for metrics.json."""
    return {
        "threshold": CONTROL_THRESHOLD,
        "mean_mask": _mean_interval(controls.mean_mask, scores),
        "caption_mean_mask": _mean_interval(controls.caption_mask, scores),
        "captions_never_seen_in_training": controls.unseen_captions,
    }


def summarise_text_controls(controls: "TextControls", scores: Scores) -> dict[str, Any]:
    """Macro Dice under empty and exchanged captions with intervals, for metrics.json."""
    result = {
        "no_text": _mean_interval(controls.without_text, scores),
        "other_text": _mean_interval(controls.other_text, scores),
    }
    if controls.no_place is not None:
        result["no_place"] = _mean_interval(controls.no_place, scores)
    differs = controls.other_differs
    if differs.any() and not differs.all():
        result["other_text_where_different"] = _mean_interval(controls.other_text, scores, differs)
    return result


def _mean_interval(values: FloatArray, scores: Scores, keep: Any = None) -> dict[str, Any]:
    keep = np.ones(len(values), bool) if keep is None else keep
    clusters = cluster_codes([row["subject"] or None for row in scores.rows])[keep]
    resamples, seed = scores.options.resamples, scores.options.seed
    found = cluster_bootstrap(values[keep], clusters, resamples=resamples, seed=seed)
    return asdict(found) | {"images": int(keep.sum())}


def interval_text(values: Mapping[str, Any]) -> str:
    """An interval read back from metrics.json, as text."""
    return str(Interval(**{key: values[key] for key in Interval.__dataclass_fields__}))
