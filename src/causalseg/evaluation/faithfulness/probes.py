"""The questions asked of each image: edited captions, and what they take away."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalseg.evaluation.metrics import BoolArray
from causalseg.evaluation.running import derangement
from causalseg.text import edits
from causalseg.text.captions import mirror_caption, parse
from causalseg.text.grammar_lung import LungFinding
from causalseg.text.paraphrases import paraphrases
from causalseg.text.words import CaptionError

TruthFor = Callable[[str], BoolArray]


@dataclass(frozen=True)
class Case:
    """One image to ask about."""

    name: str
    subject: str | None
    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3)."""
    caption: str
    truth: BoolArray
    """(H, W) for the caption."""
    truth_for: TruthFor | None = None
    """(H, W) for any caption that names zones; known for phantoms only."""


@dataclass(frozen=True)
class Probe:
    """One edited caption of one image."""

    test: str
    edited: str
    mirrored: bool = False
    """The image is mirrored too."""
    gone_side: str | None = None
    """The side ("left", "right") that is no longer named."""
    truth_as: str | None = None
    """A caption of the same meaning that names zones; None where no mask is known to be right."""
    empty: bool = False
    """The right mask is empty."""


@dataclass(frozen=True)
class Others:
    """Captions that one image borrows from the others."""

    shuffled: str | None
    same_stratum: str | None
    other_stratum: str | None
    fixed: str


def others_of(captions: Sequence[str], seed: int) -> list[Others]:
    """Captions of other images for each image; None where there is none that reads differently."""
    count = len(captions)
    order = derangement(count, seed)
    fixed = Counter(captions).most_common(1)[0][0]
    same = edits.other_captions(captions, same_stratum=True, seed=seed)
    other = edits.other_captions(captions, same_stratum=False, seed=seed)
    return [
        Others(
            shuffled=captions[order[i]] if captions[order[i]] != captions[i] else None,
            same_stratum=None if (edit := same[i]) is None else edit.caption,
            other_stratum=None if (edit := other[i]) is None else edit.caption,
            fixed=fixed,
        )
        for i in range(count)
    ]


def probes_of(caption: str, others: Others, seed: int) -> list[Probe]:
    """All probes that apply to a caption."""
    return [
        Probe("own caption", caption),
        *_sided(caption, seed),
        *_same_meaning(caption, seed),
        *_absent(caption),
        *_unrelated(caption, others, seed),
    ]


def _sided(caption: str, seed: int) -> list[Probe]:
    swapped = mirror_caption(caption)
    probes = []
    if swapped is not None:
        probes.append(Probe("joint flip", swapped, mirrored=True))
    finding = _lungs(caption)
    if finding is None or finding.absent:
        return probes
    if swapped is not None and (finding.left is None or finding.right is None):
        named = "left" if finding.left else "right"
        probes.append(Probe("side swap", swapped, gone_side=named, truth_as=swapped))
    drop = edits.drop_clause(caption, seed)
    if drop is not None and drop.gone:
        (side,) = {side for side, _ in drop.gone}
        if len(finding.zones) == 6:
            test = "one side of six zones"
        else:
            test = "clause drop" if finding.left != finding.right else ""
        if test:
            probes.append(Probe(test, drop.caption, gone_side=side, truth_as=drop.caption))
    move = edits.move_zone(caption, seed)
    if move is not None:
        probes.append(Probe("zone move", move.caption, truth_as=move.caption))
    return probes


def _same_meaning(caption: str, seed: int) -> list[Probe]:
    try:
        ways = paraphrases(parse(caption))
    except CaptionError:
        return []
    probes = [Probe("paraphrase", way, truth_as=caption) for way in ways if way != caption]
    count = edits.change_count(caption, seed)
    if count is not None and count.expectation is edits.Expectation.UNCHANGED:
        probes.append(Probe("wrong count", count.caption, truth_as=caption))
    return probes


def named_but_absent(case: Case) -> list[Probe]:
    """For a caption of one lung: name the other, where there is nothing to see."""
    caption = case.caption
    finding, swapped = _lungs(caption), mirror_caption(caption)
    if finding is None or swapped is None or (finding.left is None) == (finding.right is None):
        return []
    middle = case.truth.shape[1] // 2
    other = case.truth[:, middle:] if finding.left else case.truth[:, :middle]
    found = other if case.truth_for is None else case.truth_for(swapped)
    return [] if found.any() else [Probe("named but absent", swapped, empty=True)]


def _absent(caption: str) -> list[Probe]:
    negated = edits.negate(caption)
    if negated is None:
        return []
    ways = [negated.caption, *paraphrases(parse(negated.caption))]
    return [Probe("absent finding", way, empty=True) for way in dict.fromkeys(ways)]


def _unrelated(caption: str, others: Others, seed: int) -> list[Probe]:
    babble = edits.gibberish(caption, seed)
    texts = {
        "shuffled captions": others.shuffled,
        "same stratum": others.same_stratum,
        "other stratum": others.other_stratum,
        "fixed caption": others.fixed if others.fixed != caption else None,
        "empty caption": "",
        "gibberish": None if babble is None else babble.caption,
    }
    borrowed = ("shuffled captions", "same stratum", "other stratum", "fixed caption")
    return [
        Probe(test, text, truth_as=text if test in borrowed else None)
        for test, text in texts.items()
        if text is not None
    ]


def _lungs(caption: str) -> LungFinding | None:
    try:
        finding = parse(caption)
    except CaptionError:
        return None
    return finding if isinstance(finding, LungFinding) else None
