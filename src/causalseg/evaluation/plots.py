"""Figures and case pictures of the reports."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from causalseg.evaluation.metrics import BoolArray, FloatArray
from causalseg.evaluation.set_metrics import ReliabilityBins, SelectiveRisk
from causalseg.evaluation.statistics import Interval
from causalseg.inference.pictures import Colour, overlay

TRUTH_COLOUR: Colour = (0, 158, 115)
PREDICTION_COLOUR: Colour = (213, 94, 0)
_LINE, _FILL = "#0072b2", "#56b4e9"


def case_picture(
    image: NDArray[np.uint8], truth: BoolArray | None, prediction: BoolArray
) -> NDArray[np.uint8]:
    """Image with the prediction's outline (orange) over the truth's (green); (H, W, 3) uint8."""
    picture = image
    if truth is not None:
        picture = overlay(picture, truth, TRUTH_COLOUR, opacity=0.3)
    return overlay(picture, prediction, PREDICTION_COLOUR, opacity=0.12)


def histogram(values: FloatArray, label: str) -> Figure:
    """How many images lie at each value in [0, 1]."""
    figure = Figure(figsize=(6, 2.8))
    axes = figure.add_subplot()
    axes.hist(values, bins=list(np.linspace(0, 1, 26)), color=_FILL, edgecolor="white")
    axes.axvline(float(values.mean()), color=_LINE, label=f"mean {values.mean():.3f}")
    axes.axvline(
        float(np.median(values)), color=_LINE, ls=":", label=f"median {np.median(values):.3f}"
    )
    axes.set(xlabel=label, ylabel="images", xlim=(0, 1))
    axes.legend(frameon=False)
    return figure


def reliability_plot(bins: ReliabilityBins) -> Figure:
    """Share of foreground against predicted probability, with the pixels of each bin."""
    figure = Figure(figsize=(4.5, 4.5))
    axes = figure.add_subplot()
    filled = [
        (p, f)
        for p, f in zip(bins.mean_probability, bins.foreground_share, strict=True)
        if p is not None
    ]
    axes.plot([0, 1], [0, 1], color="#888", lw=1, ls="--", label="perfectly calibrated")
    axes.plot(*zip(*filled, strict=True), "o-", color=_LINE, label="this model")
    axes.set(xlabel="predicted probability", ylabel="share of pixels that are foreground")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False)
    return figure


def risk_plot(curve: SelectiveRisk) -> Figure:
    """Selective risk over coverage."""
    figure = Figure(figsize=(6, 3))
    axes = figure.add_subplot()
    axes.plot(curve.coverage, curve.selective_risk, color=_LINE, label="this model")
    axes.axhline(curve.mean_risk, color="#888", ls="--", lw=1, label="confidence is useless")
    axes.set(xlabel="share of images kept, surest first", ylabel="mean of 1 - Dice")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def forest(
    labels: Sequence[str], intervals: Sequence[Interval], label: str, zero: bool = True
) -> Figure:
    """Point estimates with their intervals, one line each, the first on top."""
    figure = Figure(figsize=(6.5, 0.9 + 0.42 * len(labels)))
    axes = figure.add_subplot()
    at = np.arange(len(labels))[::-1]
    middle = np.array([i.estimate for i in intervals])
    ends = np.array([[i.low, i.high] for i in intervals]).T
    axes.hlines(at, ends[0], ends[1], color=_LINE)
    axes.plot(middle, at, "o", color=_LINE)
    if zero:
        axes.axvline(0, color="#888", lw=1, ls="--")
    # matplotlib would read two dollars in a name as a formula, and fail at an odd one.
    axes.set_yticks(at, [name.replace("$", r"\$") for name in labels])
    axes.set(xlabel=label, ylim=(-0.6, len(labels) - 0.4))
    return figure
