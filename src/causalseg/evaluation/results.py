"""Write a scored run: metrics.json, per_image.csv and report.html in one folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.evaluation.metrics import EMPTY_RULE
from causalseg.evaluation.plots import case_picture, histogram, reliability_plot, risk_plot
from causalseg.evaluation.predictions import Prediction
from causalseg.evaluation.report import CaptionedPicture, Report
from causalseg.evaluation.scoring import Scores, column
from causalseg.evaluation.set_metrics import SetMetrics
from causalseg.evaluation.surface import LESION_RULE
from causalseg.files import write_csv, write_json

_SHOWN = 4
_WORDS = {
    "dice": "Dice: overlap of the predicted and the true mask, 1 is perfect",
    "iou": "IoU: overlap over union, 1 is perfect",
    "nsd": "NSD: share of the outline that lies within the tolerance",
    "hd95": "HD95: how far apart the outlines are, leaving out the worst 5 %",
    "lesion_f1": "Lesion F1: are the separate spots found, whatever their outline",
}


def write_results(
    out: Path,
    title: str,
    manifest: Manifest,
    scores: Scores,
    metrics: SetMetrics,
    predicted: Callable[[Record], Prediction],
) -> None:
    """Write all three files; `predicted` gives a case's prediction again, for its picture."""
    report = _report(title, manifest, scores, metrics, predicted)
    write_csv(out / "per_image.csv", scores.rows)
    write_json(out / "metrics.json", metrics.to_dict())
    report.write(out / "report.html")


def _report(
    title: str,
    manifest: Manifest,
    scores: Scores,
    metrics: SetMetrics,
    predicted: Callable[[Record], Prediction],
) -> Report:
    data, options = metrics.data, metrics.options
    report = Report(
        title,
        f"On {metrics.images} images of {metrics.subjects} subjects the predicted masks "
        f"overlap the true ones with a mean Dice of {metrics.model_size.macro['dice']}; "
        "the brackets hold the 95 % interval.",
    )
    report.paragraph(
        f"Data: {data.root}, {data.split} split, fingerprint {data.fingerprint[:16]}. "
        f"Intervals: subjects drawn with replacement, {options.resamples} times, seed "
        f"{options.seed}. {metrics.images_without_known_subject} images name no subject and "
        "count as one each."
    )
    if metrics.lesions_left_empty:
        report.paragraph(
            f"In {metrics.lesions_left_empty} of {metrics.images_with_lesion} images with a lesion "
            "nothing is marked; each scores 0."
        )
    if data.left_out:
        report.paragraph(f"Left out because of errors: {'; '.join(data.left_out)}")
    if scores.resized:
        report.paragraph(
            f"{scores.resized} predictions came at another size than their mask and were resized "
            "(probabilities bilinear, masks nearest neighbour)."
        )
    _scores_section(report, metrics)
    _controls_section(report, metrics)
    report.heading("Spread over images")
    report.figure(
        histogram(column(scores.rows, "dice"), "Dice"),
        "Dice of each image. The mean hides the images on the left: look at those below.",
    )
    _cases_section(report, manifest, scores, predicted)
    _calibration_section(report, metrics)
    report.heading("Rules")
    report.paragraph(EMPTY_RULE)
    report.paragraph(LESION_RULE)
    return report


def _scores_section(report: Report, metrics: SetMetrics) -> None:
    report.heading("Scores")
    sizes, options = (metrics.model_size, metrics.native_size), metrics.options
    rows = [
        (
            f"{words} ({options.unit})" if key == "hd95" else words,
            "macro",
            *(str(at.macro[key]) for at in sizes),
        )
        for key, words in _WORDS.items()
    ]
    rows += [
        (words, "micro", *(str(at.micro[key]) for at in sizes))
        for key, words in (("dice", "Dice"), ("iou", "IoU"))
    ]
    check = ("D / (2 - D) of the micro Dice", "check")
    rows.append((*check, *(f"{at.micro_iou_from_dice:.4f}" for at in sizes)))
    for words, found in (
        (
            "Null accuracy: share of images with nothing to find left empty",
            [at.null_accuracy for at in sizes],
        ),
        ("Dice of the images with a lesion", [at.macro_dice_where_a_lesion_is for at in sizes]),
    ):
        if found[0] is not None:
            rows.append((words, "macro", *map(str, found)))
    report.table(
        ("measure", "scale", f"at {options.size} x {options.size} pixels", "at native size"),
        rows,
        "Macro: the mean of the images' values. Micro: pixels summed over all images first, so "
        "that large lesions count more; only micro values obey IoU = D / (2 - D). Compare like "
        f"with like. NSD tolerance: {options.tolerance:g} {options.unit}.",
    )


def _controls_section(report: Report, metrics: SetMetrics) -> None:
    controls = metrics.controls
    if controls is None or not controls.rows():
        return
    report.heading("What the score is worth")
    rows = [("these predictions", str(metrics.model_size.macro["dice"]))]
    rows += [(words, str(value)) for words, value in controls.rows()]
    notes = ""
    if controls.threshold is not None:
        notes = (
            "The mean training mask is one picture for every patient. The mean mask of the "
            "caption knows the text and never looks at the image. Both are cut at "
            f"{controls.threshold:g}; {controls.captions_never_seen_in_training} images "
            "have a caption that training never showed and get the mean training mask."
        )
    report.table(("who answers", "macro Dice"), rows, notes)


def _cases_section(
    report: Report,
    manifest: Manifest,
    scores: Scores,
    predicted: Callable[[Record], Prediction],
) -> None:
    order = np.argsort(column(scores.rows, "dice"), kind="stable")
    shown = min(_SHOWN, len(order))
    middle = max(0, len(order) // 2 - shown // 2)
    groups = {
        "Best cases": order[::-1][:shown],
        "Median cases": order[middle : middle + shown],
        "Worst cases": order[:shown],
    }
    for heading, picks in groups.items():
        report.heading(heading)
        report.paragraph("Green: the true mask. Orange: the prediction.")
        report.pictures(
            _case(manifest.records[i], scores.rows[i]["dice"], predicted) for i in picks
        )


def _case(
    record: Record, dice: float, predicted: Callable[[Record], Prediction]
) -> CaptionedPicture:
    truth = read_mask(record.mask)
    picture = case_picture(read_image(record.image), truth, predicted(record).at(truth.shape).mask)
    return picture, f"Dice {dice:.3f}. {record.caption} ({record.name})"


def _calibration_section(report: Report, metrics: SetMetrics) -> None:
    calibration, curve = metrics.calibration, metrics.risk_coverage
    if calibration is None or curve is None:
        return
    report.heading("Can its certainty be believed?")
    report.table(
        ("measure", "value"),
        [
            ("ECE per image: gap of stated and true certainty", str(calibration.ece)),
            ("Brier: squared error of the probabilities", str(calibration.brier)),
            ("AURC: mean of 1 - Dice over all shares kept", curve.aurc),
            ("AURC of a perfect ranking", curve.optimal_aurc),
            ("AURC of a useless ranking: the mean of 1 - Dice", curve.mean_risk),
        ],
        "Lower is better in every line.",
    )
    report.figure(
        reliability_plot(calibration.bins),
        "Points below the line: the model is surer than it is right.",
    )
    report.figure(
        risk_plot(curve),
        "If only the images the model is surest of are kept, the error should fall to the left.",
    )
