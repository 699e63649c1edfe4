"""What the demo measures and draws besides the ordinary commands: edited texts on phantoms.

A phantom knows the true mask of every caption about lungs, so whether an edited text moved the
mask to the right place can be scored, which no real data set allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from causalseg.data.phantom import PhantomCase, describe_zones, named_zones, phantom_cases, truth
from causalseg.evaluation.metrics import dice
from causalseg.inference.pictures import overlay
from causalseg.inference.segmenter import Segmenter
from causalseg.training.environment import Environment


def edited_cases(count: int, seed: int, size: int) -> Iterator[tuple[PhantomCase, str]]:
    """Held-out phantoms, each with a caption that names exactly the opacities its own leaves out.

    Phantoms whose own caption names all or none of the opacities are passed over.
    """
    for case in phantom_cases(count, seed, size):
        own = named_zones(case.caption)
        rest = frozenset(case.phantom.masks) - own
        if case.split == "test" and rest and own & frozenset(case.phantom.masks):
            yield case, describe_zones(rest)


@dataclass(frozen=True)
class EditedScores:
    """Macro Dice on held-out phantoms whose text names some of their opacities, and not all."""

    images: int
    own: float
    """With their own text."""
    edited: float
    """With a text that names the others, against that text's true mask."""
    blind: float
    """With the same text, against the first text's mask: what a model that ignores text keeps."""


@dataclass(frozen=True)
class DemoReport:
    """What `demo.json` holds: how the demo was run, and what it reached."""

    count: int
    """Phantoms, in all three splits."""
    size: int
    """Side of a phantom, in pixels."""
    seed: int
    epochs: int
    precision: str
    seconds: float
    """Of the whole tour, by the clock."""
    cpu_seconds: float
    edited: EditedScores
    environment: Environment


def edited_scores(checkpoint: Path, count: int, seed: int, size: int) -> EditedScores:
    """Ask held-out phantoms for what their text names, and for what it leaves out."""
    segmenter = Segmenter.load(checkpoint)
    scores = []
    for case, edited in edited_cases(count, seed, size):
        image = case.phantom.image
        first, second = (r.mask > 0 for r in segmenter.prompts(image, [case.caption, edited]))
        own = truth(case.phantom, case.caption)
        scores.append(
            (dice(first, own), dice(second, truth(case.phantom, edited)), dice(second, own))
        )
    return EditedScores(len(scores), *(float(value) for value in np.mean(scores, axis=0)))


def picture(checkpoint: Path, count: int, seed: int, size: int, path: Path, cases: int = 3) -> None:
    """Draw held-out cases: the image, its text's mask, an edited text's mask, the causal map."""
    segmenter = Segmenter.load(checkpoint)
    figure = Figure(figsize=(10, 2.9 * cases), layout="constrained")
    axes = figure.subplots(cases, 4, squeeze=False)
    chosen = [case for _, case in zip(range(cases), edited_cases(count, seed, size), strict=False)]
    for row, (case, edited) in zip(axes, chosen, strict=True):
        image = case.phantom.image
        first, second = segmenter.prompts(image, [case.caption, edited])
        stage = min(first.attention)  # the finest
        panels = (
            (image, "image"),
            (overlay(image, first.mask), _wrapped(case.caption)),
            (overlay(image, second.mask), _wrapped(edited)),
        )
        for axis, (pixels, title) in zip(row, panels, strict=False):
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            axis.set_title(title, fontsize=8)
        row[3].imshow(first.attention[stage], cmap="viridis", vmin=0, vmax=1)
        row[3].set_title(f"causal mask M, {stage}", fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(path, dpi=100)


def _wrapped(text: str, width: int = 40) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
