"""Twin phantoms: the sentence leaves open which of two opacities is meant, the image tells.

Two opacities lie at one height, one in each lung; the target is the *striped* one. The caption
names the height alone, so that the side must come from the image: from the stripes, or from
whatever else happens to tell the side. In some training rows the caption names the side too, so
that the word is learnt. "left" is the viewer's left.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from causalseg.data.manifest import Split
from causalseg.data.phantom import (
    HEIGHTS,
    PHANTOM_ZONES,
    DrawnCase,
    PhantomZone,
    check_drawing,
    describe_zones,
    split_counts,
    write_cases,
)
from causalseg.data.phantom_drawing import Anatomy, draw_anatomy, draw_image, draw_opacity
from causalseg.text.words import SIDES

Question = Literal["side", "height", "presence"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
NAMED = 0.25
"""Share of training and validation captions that name what the others leave open."""
STRIPES = 0.3
"""Amplitude of the target's stripes, as a share of its density."""
THIRD = 0.6
"""Share of phantoms with a further, plain opacity elsewhere."""


@dataclass(frozen=True)
class Twin:
    """A drawn phantom with two opacities of which at most one is striped."""

    image: NDArray[np.uint8]
    """(S, S)."""
    target: NDArray[np.bool_]
    """(S, S): the striped opacity; empty where neither is."""
    zone: PhantomZone
    """Of the target, or of the one that would have been."""


def draw_twin(
    rng: np.random.Generator, anatomy: Anatomy, size: int, question: Question = "side"
) -> Twin:
    """Draw two opacities that differ in what the question asks, one of them striped.

    `side`: at one height in both lungs. `height`: the upper and the lower of one lung.
    `presence`: as `side`, but half of the phantoms have no striped opacity.
    """
    side, height = SIDES[int(rng.integers(2))], HEIGHTS[int(rng.integers(3))]
    if question == "height":
        height = ("upper", "lower")[int(rng.integers(2))]
        pair = [(side, height), (side, "lower" if height == "upper" else "upper")]
    else:
        pair = [(side, height), (SIDES[1 - SIDES.index(side)], height)]
    rest = [zone for zone in PHANTOM_ZONES if zone not in pair]
    other = [rest[int(rng.integers(len(rest)))]] if rng.random() < THIRD else []
    striped = question != "presence" or bool(rng.random() < 0.5)
    period, phase = rng.uniform(3, 4), rng.uniform(0, 2 * np.pi)
    opacities = [draw_opacity(rng, anatomy, zone, size) for zone in pair + other]
    densities = [opacity.density for opacity in opacities]
    if striped:
        rows = np.arange(size)[:, None]
        wave = np.sign(np.sin(2 * np.pi * rows / period + phase))
        densities[0] = densities[0] * (1 + STRIPES * wave)
    image = draw_image(rng, anatomy, densities, size, marker="none")
    return Twin(image, opacities[0].mask & striped, pair[0])


def question_of(predicts: str) -> Question:
    """The question that phantoms must leave open for a plant that tells a property."""
    return predicts if predicts in QUESTIONS else "side"


def open_caption(zone: PhantomZone, question: Question) -> str:
    """The caption that leaves the question open."""
    side, height = zone
    where = f"{side} lung" if question == "height" else f"{height} lung"
    return f"Pulmonary infection, one infected area, {where}."


_OPEN = re.compile(r"Pulmonary infection, one infected area, (\w+) lung\.")


def naming(caption: str, answer: str) -> str | None:
    """The caption that also names a side or a height; None for one that leaves neither open."""
    found = _OPEN.fullmatch(caption)
    if found is None or (found[1] in SIDES) == (answer in SIDES):
        return None
    zone = (answer, found[1]) if answer in SIDES else (found[1], answer)
    return describe_zones([zone]) if zone in PHANTOM_ZONES else None


def twin_cases(
    count: int, seed: int, size: int = 64, question: Question = "side"
) -> Iterator[DrawnCase]:
    """The rows of a twin data set, one subject each; the same for the same arguments."""
    check_drawing(size, seed)
    splits: list[Split] = [split for split, n in split_counts(count) for _ in range(n)]
    for subject, split in enumerate(splits, 1):
        rng = np.random.default_rng((seed, subject))
        twin = draw_twin(rng, draw_anatomy(rng), size, question)
        named = split != "test" and rng.random() < NAMED and twin.target.any()
        caption = describe_zones([twin.zone]) if named else open_caption(twin.zone, question)
        yield DrawnCase(f"mask_sub-T{subject:05d}.png", split, twin.image, twin.target, caption)


def make_twins(
    out: Path,
    count: int,
    seed: int,
    size: int = 64,
    question: Question = "side",
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write a twin data set in the LViT layout, whole or not at all; see `make_phantoms`.

    Raises:
        InputError: `out` holds something, or the count is too small.

    """
    write_cases(out, twin_cases(count, seed, size, question), progress)
