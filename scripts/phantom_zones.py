"""Which opacities of phantoms a model selects: `python scripts/phantom_zones.py CHECKPOINT`.

Run on the held-out phantoms of `causalseg demo`, whose opacities are known one by one.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, dataclass

import numpy as np

from causalseg.cli.demo import COUNT, SEED, SIZE
from causalseg.data.phantom import PhantomZone, named_zones, phantom_cases, truth
from causalseg.evaluation.metrics import dice
from causalseg.inference.segmenter import Segmenter


def kind(zone: PhantomZone, named: frozenset[PhantomZone]) -> str:
    """What the text says of a zone: that it is named, or whether its side and height occur."""
    if zone in named:
        return "named"
    side = "same side" if zone[0] in {side for side, _ in named} else "other side"
    height = "same height" if zone[1] in {height for _, height in named} else "other height"
    return f"not named, {side}, {height}"


@dataclass(frozen=True)
class ZoneReport:
    """Which opacities were more than half selected, on the held-out phantoms."""

    images: int
    dice: float
    """Macro."""
    images_selected_rightly: int
    """Where the text names an opacity that is there, and exactly the named ones are selected."""
    dice_where_selected_rightly: float | None
    selected: dict[str, tuple[int, int]]
    """Kind -> how many were selected, of how many."""


def measure(checkpoint: str) -> ZoneReport:
    """Segment the held-out phantoms of the demo by their own text."""
    segmenter = Segmenter.load(checkpoint)
    selected: dict[str, list[bool]] = defaultdict(list)
    scores, right = [], []
    for case in phantom_cases(COUNT, SEED, SIZE):
        if case.split != "test":
            continue
        mask = segmenter(case.phantom.image, case.caption).mask > 0
        named, true = named_zones(case.caption), truth(case.phantom, case.caption)
        agrees = True
        for zone, opacity in case.phantom.masks.items():
            found = bool(mask[opacity].mean() > 0.5)
            selected[kind(zone, named)].append(found)
            agrees &= found == (zone in named)
        scores.append(dice(mask, true))
        if agrees and true.any():
            right.append(scores[-1])
    return ZoneReport(
        images=len(scores),
        dice=float(np.mean(scores)),
        images_selected_rightly=len(right),
        dice_where_selected_rightly=float(np.mean(right)) if right else None,
        selected={name: (sum(found), len(found)) for name, found in sorted(selected.items())},
    )


def main() -> None:
    """Print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    print(json.dumps(asdict(measure(parser.parse_args().checkpoint)), indent=2))


if __name__ == "__main__":
    main()
