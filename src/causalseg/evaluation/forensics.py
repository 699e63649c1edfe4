"""Tell whether a published pair of Dice and IoU is macro or micro.

Micro values (pixels summed over the set) obey IoU = D / (2 - D) exactly. Per-image means do not:
IoU is a convex function of Dice, so by Jensen's inequality the mean IoU lies above D / (2 - D) of
the mean Dice, unless all images score the same.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from causalseg.errors import InputError
from causalseg.evaluation.metrics import iou_of_dice

COARSE = 0.005
"""With roundings that move the gap by more than this, equality says nothing."""


@dataclass(frozen=True)
class Verdict:
    """The gap IoU - D / (2 - D), as a fraction, and what it says."""

    dice: float
    iou: float
    expected_micro_iou: float
    gap: float
    kind: str
    """"micro", "macro", "impossible" or "undecided"."""
    words: str


def examine(dice: str, iou: str) -> Verdict:
    """Judge a pair as printed; the digits given tell how far rounding may have moved it.

    Args:
        dice: e.g. "85.21", "85.21%" or "0.8521"; a value above 1 is taken as percent.
        iou: on the same scale.

    Raises:
        InputError: not a number, outside 0..100, or one a fraction and one a percent.

    """
    (d, d_slack), (j, j_slack) = _read("Dice", dice), _read("IoU", iou)
    if (d > 1) != (j > 1) and min(d, j) > 0:
        raise InputError(
            f"Dice {dice} and IoU {iou} are on two scales: give both as percent or as fraction."
        )
    if d > 1:
        d, d_slack, j, j_slack = (value / 100 for value in (d, d_slack, j, j_slack))
    expected = float(iou_of_dice(d))
    gap = j - expected
    # The derivative of D / (2 - D) is 2 / (2 - D)^2.
    slack = j_slack + 2 / (2 - d) ** 2 * d_slack + 1e-9
    return Verdict(d, j, expected, gap, *_judge(gap, slack))


def _judge(gap: float, slack: float) -> tuple[str, str]:
    if gap < -slack:
        return "impossible", (
            f"IoU lies {-gap:.2%} below D / (2 - D), where no masks can put it: the two were "
            "averaged in different ways, or one is a misprint."
        )
    if gap > slack:
        return "macro", (
            f"IoU lies {gap:.2%} above D / (2 - D): a mean of per-image values (macro). Not "
            "comparable with micro values, which are higher by several Dice points."
        )
    if slack > COARSE:
        return "undecided", "Both kinds fit: the numbers are rounded too coarsely to tell."
    return "micro", (
        "IoU equals D / (2 - D): pixels were summed over the set (micro), or there is one image, "
        "or all images score alike. Not comparable with means of per-image values."
    )


def _read(name: str, text: str) -> tuple[float, float]:
    """Value and half a unit of its last digit, both on the scale given."""
    plain = text.strip().removesuffix("%").strip()
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise InputError(
            f"{name} must be a number such as 85.21 or 0.8521, not {text!r}."
        ) from None
    if not value.is_finite() or not 0 <= value <= 100:
        raise InputError(f"{name} must lie in 0..1 or, as percent, in 0..100, not {text}.")
    exponent = int(value.as_tuple().exponent)
    return float(value), 0.5 * 10.0**exponent
