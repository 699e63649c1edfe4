"""Other captions for a training image, each with what it leaves of the image's mask.

A real data set says one thing of each image, so that a network can guess much of the mask without
reading. These rewrites ask another question of the same pixels, and the answer is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from causalseg.errors import InputError
from causalseg.text import edits
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import LungFinding, lung_finding, reworded
from causalseg.text.words import UNLOCATED, CaptionError

RewriteKind = Literal["one_lung", "negate", "reword", "unlocated", "other_lung"]
Keeps = Literal["all", "left", "right", "nothing"]
"""The part of the mask that is still right; sides as the viewer sees them."""
MIN_AGREEMENT = 0.9
"""Share of one-lung captions whose mask must lie on the named side, for `one_lung` to be true."""


@dataclass
class RewriteConfig:
    """How often a training caption is rewritten; 0 leaves all as they are."""

    one_lung: float = 0.0
    """Probability that a caption of both lungs names one only; the mask keeps that half."""
    negate: float = 0.0
    """Probability that the caption says that there is no finding; the mask is emptied."""
    reword: float = 0.0
    """Probability that a lung caption is put in the other data sets' wording; the mask stays."""
    unlocated: float = 0.0
    """Probability that a lung caption names no place; the mask stays. The answer to such a text is
    what the image alone shows, against which a named place can be checked."""
    other_lung: float = 0.0
    """Probability that a caption of one lung names the other lung instead; the mask keeps what
    lies in that half, which is nothing where that lung is healthy. This and `unlocated` are true
    only where captions name all that there is to see, as QaTa's do and the phantoms' do not."""

    def __post_init__(self) -> None:
        """Refuse what are not probabilities."""
        if min(self.chances) < 0 or sum(self.chances) > 1:
            raise InputError(
                "data.rewrite: the probabilities must not be negative, nor sum to more than 1."
            )

    @property
    def chances(self) -> tuple[float, ...]:
        """The probabilities in the order of `RewriteKind`."""
        return tuple(getattr(self, kind) for kind in get_args(RewriteKind))


@dataclass(frozen=True)
class Rewrite:
    """A caption and the part of the image's mask that it asks for."""

    caption: str
    keeps: Keeps


def rewrites(caption: str) -> dict[RewriteKind, list[Rewrite]]:
    """All rewrites of a caption by kind; none of a kind that does not apply."""
    negated = edits.negate(caption)
    found: dict[RewriteKind, list[Rewrite]] = {kind: [] for kind in get_args(RewriteKind)}
    if negated is not None:
        found["negate"] = [Rewrite(negated.caption, "nothing")]
    try:
        finding = parse(caption)
    except CaptionError:
        return found
    if not isinstance(finding, LungFinding) or finding.absent:
        return found
    left, right = (lung.zones if lung else None for lung in (finding.left, finding.right))
    if left and right:
        found["one_lung"] = [
            Rewrite(lung_finding(left, (), finding.wording).compose(), "left"),
            Rewrite(lung_finding((), right, finding.wording).compose(), "right"),
        ]
    elif left or right:
        healthy: Keeps = "right" if left else "left"
        mirrored = lung_finding(right or (), left or (), finding.wording)
        found["other_lung"] = [Rewrite(mirrored.compose(), healthy)]
    found["unlocated"] = [Rewrite(UNLOCATED, "all")]
    if () not in (left, right):  # a lung named without a zone cannot be said in both wordings
        other = reworded(finding, "lvit" if finding.wording == "sgseg" else "sgseg")
        found["reword"] = [Rewrite(other.compose(), "all")]
    return found


def keep(mask: NDArray[np.uint8], keeps: Keeps) -> NDArray[np.uint8]:
    """The part of a mask (..., W) that a rewrite asks for, the rest set to 0."""
    if keeps == "all":
        return mask
    kept = np.zeros_like(mask)
    middle = mask.shape[-1] // 2
    if keeps == "left":
        kept[..., :middle] = mask[..., :middle]
    elif keeps == "right":
        kept[..., middle:] = mask[..., middle:]
    return kept


def check_sides(captions: Sequence[str], masks: NDArray[np.uint8]) -> None:
    """Refuse masks whose captions do not mean the sides that the viewer sees.

    Args:
        captions: N texts.
        masks: (N, S, S) of 0 and 1.

    Raises:
        InputError: of the captions that name one lung, fewer than MIN_AGREEMENT have most of
            their mask in that half of the image.

    """
    agrees = []
    for caption, mask in zip(captions, masks, strict=True):
        try:
            finding = parse(caption)
        except CaptionError:
            continue
        if isinstance(finding, LungFinding) and (finding.left is None) != (finding.right is None):
            side: Keeps = "left" if finding.left else "right"
            agrees.append(2 * int(keep(mask, side).sum()) >= int(mask.sum()))
    if agrees and np.mean(agrees) < MIN_AGREEMENT:
        raise InputError(
            f"data.rewrite.one_lung needs captions whose left is the viewer's left, but only "
            f"{sum(agrees)} of {len(agrees)} masks lie on the one side that their caption names; "
            "set it to 0."
        )
