"""What bf16, a joint flip and other sizes change in Dice: `python scripts/dice_cost.py ROOT`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from causalseg.data.images import read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Record
from causalseg.evaluation.metrics import FloatArray, dice
from causalseg.evaluation.statistics import cluster_bootstrap, cluster_codes
from causalseg.inference.segmenter import Segmenter

Form = Callable[[Record], FloatArray]
"""A record's probabilities (H, W) at its own size."""


def plain(segmenter: Segmenter) -> Form:
    """The segmenter as it is."""
    return lambda record: segmenter(record.image, record.caption).probability


def forms(checkpoint: str, sizes: Sequence[int]) -> tuple[dict[str, Form], float]:
    """What is compared, the first as the reference, and the checkpoint's threshold."""
    own = Segmenter.load(checkpoint)
    found = {
        f"fp32, {own.preprocessing.size} px": plain(own),
        "bf16": plain(Segmenter.load(checkpoint, precision="bf16")),
        "joint flip": plain(Segmenter.load(checkpoint, flip=True)),
    }
    for size in sizes:
        resized = Segmenter(own.model, replace(own.preprocessing, size=size), own.threshold)
        found[f"{size} px"] = plain(resized)
    return found, own.threshold


def main() -> None:
    """Print macro Dice of each form and its paired difference with a 95 % interval by subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--limit", type=int, default=480)
    parser.add_argument("--sizes", type=int, nargs="*", default=[], metavar="PIXELS")
    options = parser.parse_args()
    records = read_lvit(options.root, options.split).limit(options.limit, 0).records
    compared, threshold = forms(options.checkpoint, options.sizes)
    masks = [read_mask(record.mask) for record in records]
    scores = {
        name: np.array(
            [dice(form(r) >= threshold, mask) for r, mask in zip(records, masks, strict=True)]
        )
        for name, form in compared.items()
    }
    subjects, reference = cluster_codes([r.subject for r in records]), next(iter(scores.values()))
    for name, values in scores.items():
        difference = cluster_bootstrap(values - reference, subjects)
        print(f"{name}: {values.mean():.4f}, {difference} over {len(records)} images")


if __name__ == "__main__":
    main()
