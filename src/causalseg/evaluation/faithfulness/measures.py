"""What each test measures, what a perfect model would score, and what a text-blind one scores.

"Left" is the viewer's left: the image's columns below W / 2, as in QaTa-COV19. Areas are of the
thresholded masks. Before: the mask under the image's own caption; after: under the edited one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from causalseg.evaluation.faithfulness.probes import Probe
from causalseg.evaluation.metrics import BoolArray, dice
from causalseg.evaluation.statistics import Interval

Measures = dict[str, float]


@dataclass(frozen=True)
class Test:
    """One test of the suite."""

    question: str
    measure: str
    """The headline: a key of the measures."""
    perfect: float | None
    """Its value for a model that follows the text; None where no mask is right."""
    blind: float | None
    """Its value for a model that ignores the text; None where that depends on the model."""


@dataclass(frozen=True)
class MeasureResult(Interval):
    """Mean of a measure, with its interval by subject."""

    words: str
    answers: int


@dataclass(frozen=True)
class TestResult(Test):
    """A test, and what the model's answers gave."""

    images: int
    measures: dict[str, MeasureResult] = field(default_factory=dict)
    """Those that are defined for at least one answer."""

    @property
    def headline(self) -> MeasureResult | None:
        """The result of the headline measure; None where it is undefined for every answer."""
        return self.measures.get(self.measure)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TestResult":
        """A test of a stored faithfulness.json."""
        measures = {key: MeasureResult(**m) for key, m in content["measures"].items()}
        known = {f.name: content[f.name] for f in fields(cls)}
        return cls(**(known | {"measures": measures}))


MEASURE_WORDS = {
    "dice": "Dice with the image's true mask",
    "agreement": "Dice of the masks before and after",
    "centroid_error": "distance of the masks' centres, in image widths",
    "gone": "share of the area that left the side no longer named",
    "arrived": "share of the new mask that lies on the side now named, healthy or not",
    "left_over": "share of the area that stayed on the side no longer named",
    "kept": "Dice before and after on the side still named",
    "empty": "share of masks that are empty",
    "area_left": "area after, as a share of the area before",
    "loss": "Dice lost against the image's true mask",
    "correct": "Dice with the true mask of the edited caption",
    "correct_if_ignored": "the same, had the mask not changed",
}

_FOLLOW, _BLIND = 1.0, 0.0
TESTS: dict[str, Test] = {
    "own caption": Test(
        "For reference, the image's own caption: how good are the masks, how many are empty?",
        "dice",
        None,
        None,
    ),
    "joint flip": Test(
        "Image mirrored and left and right exchanged in the text: does the mask mirror?",
        "agreement",
        _FOLLOW,
        None,
    ),
    "side swap": Test(
        "Infection in one lung, the text names the other: does the mask leave the first?",
        "gone",
        _FOLLOW,
        _BLIND,
    ),
    "clause drop": Test(
        "Two unlike lungs, the text keeps one: how much stays on the other?",
        "left_over",
        0.0,
        1.0,
    ),
    "one side of six zones": Test(
        "All six zones infected, the text names one side: how much stays on the other?",
        "left_over",
        0.0,
        1.0,
    ),
    "zone move": Test(
        "Another height of the same lung is named: does the mask change?", "agreement", None, 1.0
    ),
    "named but absent": Test(
        "The text names a lung, and the true mask has nothing there: is the mask empty?",
        "empty",
        1.0,
        0.0,
    ),
    "absent finding": Test(
        "The text says that there is no finding: is the mask empty?", "empty", 1.0, 0.0
    ),
    "absent zones": Test(
        "The text names only zones that hold nothing: is the mask empty?", "empty", 1.0, 0.0
    ),
    "paraphrase": Test("The same in other words: is the mask the same?", "agreement", 1.0, 1.0),
    "wrong count": Test(
        "A wrong count with the right places: is the mask the same?", "agreement", 1.0, 1.0
    ),
    "shuffled captions": Test(
        "The caption of a random other image that reads differently: how much Dice is lost?",
        "loss",
        None,
        0.0,
    ),
    "same stratum": Test(
        "A caption of another image with as many lungs and zones: how much Dice is lost?",
        "loss",
        None,
        0.0,
    ),
    "other stratum": Test(
        "A caption of an image with another number of lungs or zones: how much Dice is lost?",
        "loss",
        None,
        0.0,
    ),
    "fixed caption": Test("One caption for all images: how much Dice is lost?", "loss", None, 0.0),
    "empty caption": Test("No text at all: how much Dice is lost?", "loss", None, 0.0),
    "gibberish": Test("Random letters: how much Dice is lost?", "loss", None, 0.0),
}


def measure(
    probe: Probe, before: BoolArray, after: BoolArray, truth: BoolArray, edited: BoolArray | None
) -> Measures:
    """Measure one probe.

    Args:
        probe: what was asked.
        before: (h, w) mask under the original caption.
        after: (h, w) mask under the edited caption; mirrored back for a mirrored image.
        truth: (h, w) true mask of the original caption.
        edited: (h, w) true mask of the edited caption, where known.

    Returns:
        The measures that are defined; a share of an empty area is left out.

    """
    if probe.test == "own caption":
        return {"dice": dice(before, truth), "empty": float(not before.any())}
    found: Measures = {"agreement": dice(before, after)}
    if probe.mirrored:
        if before.any() and after.any():
            found["centroid_error"] = _centroid_error(before, after)
    elif probe.gone_side is not None:
        found |= _sides(probe.gone_side, before, after)
    if probe.empty:
        found["empty"] = float(not after.any())
        if before.any():
            found["area_left"] = after.sum() / before.sum()
    if not probe.mirrored:
        found["loss"] = dice(before, truth) - dice(after, truth)
    if edited is not None:
        found |= {"correct": dice(after, edited), "correct_if_ignored": dice(before, edited)}
    return {key: float(value) for key, value in found.items()}


def half(mask: BoolArray, side: str) -> BoolArray:
    """The mask's part on the viewer's left or right half."""
    middle = mask.shape[1] // 2
    return mask[:, :middle] if side == "left" else mask[:, middle:]


def _sides(gone: str, before: BoolArray, after: BoolArray) -> Measures:
    stays = "right" if gone == "left" else "left"
    found: Measures = {}
    if half(before, gone).any():
        share = half(after, gone).sum() / half(before, gone).sum()
        # More area than before on the side no longer named still counts as nothing gone.
        found |= {"left_over": min(1.0, share), "gone": max(0.0, 1.0 - share)}
    if after.any():
        found["arrived"] = half(after, stays).sum() / after.sum()
    found["kept"] = dice(half(before, stays), half(after, stays))
    return found


def _centroid_error(a: BoolArray, b: BoolArray) -> float:
    centres = [np.argwhere(mask).mean(0) for mask in (a, b)]
    return float(np.hypot(*(centres[0] - centres[1])) / a.shape[1])
