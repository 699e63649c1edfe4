"""What bf16 and a joint flip at test time change in Dice: `python -m benchmarks.dice_cost ROOT`.

The joint flip averages the probabilities of the image under its caption with those of the mirrored
image under the caption with left and right exchanged, mirrored back.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.evaluation.metrics import dice
from causalseg.inference.segmenter import Segmenter
from causalseg.text.captions import swap_sides

Floats = NDArray[np.float32]


def mirrored(segmenter: Segmenter, images: list[Any], texts: list[str]) -> Floats:
    """Probabilities (B, S, S) of the mirrored images, mirrored back; unsafe texts stay."""
    flipped = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    return segmenter.probabilities(flipped, [swap_sides(t) or t for t in texts])[..., ::-1]


def scores(probability: Floats, masks: list[NDArray[np.bool_]], threshold: float) -> list[float]:
    """Dice of each image at the mask's own size."""
    found = []
    for p, mask in zip(probability, masks, strict=True):
        plane = torch.from_numpy(p.copy())[None, None]
        native = F.interpolate(plane, size=mask.shape, mode="bilinear")[0, 0].numpy()
        found.append(dice(native >= threshold, mask))
    return found


def main() -> None:
    """Print macro Dice of each form and its paired difference with a 95 % interval over images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--limit", type=int, default=480)
    options = parser.parse_args()
    records = read_lvit(options.root, options.split).limit(options.limit, 0).records
    plain = Segmenter.load(options.checkpoint)
    half = Segmenter.load(options.checkpoint, precision="bf16")
    found: dict[str, list[float]] = {"fp32": [], "bf16": [], "fp32, joint flip": []}
    for i in range(0, len(records), 16):
        batch = records[i : i + 16]
        images, texts = [read_image(r.image) for r in batch], [r.caption for r in batch]
        masks = [read_mask(r.mask).astype(bool) for r in batch]
        p = plain.probabilities(images, texts)
        both = (p + mirrored(plain, images, texts)) / 2
        for name, probability in (
            ("fp32", p),
            ("bf16", half.probabilities(images, texts)),
            ("fp32, joint flip", both),
        ):
            found[name] += scores(probability, masks, plain.threshold)
    reference, rng = np.array(found["fp32"]), np.random.default_rng(0)
    draws = rng.integers(0, len(reference), (10_000, len(reference)))
    for name, values in found.items():
        difference = np.array(values) - reference
        low, high = np.quantile(difference[draws].mean(1), [0.025, 0.975])
        print(
            f"{name}: {np.mean(values):.4f}, {difference.mean():+.4f} [{low:+.4f}, {high:+.4f}] "
            f"over {len(reference)} images"
        )


if __name__ == "__main__":
    main()
