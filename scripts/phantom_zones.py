"""Which opacities of phantoms a model selects: `python scripts/phantom_zones.py CHECKPOINT`.

Run on the held-out phantoms of `causalseg demo`, whose opacities are known one by one.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

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


def main() -> None:
    """Print how many opacities of each kind are more than half selected, and Dice where right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    segmenter = Segmenter.load(parser.parse_args().checkpoint)
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
    print(f"macro Dice {np.mean(scores):.3f} of {len(scores)}; where the text names an opacity")
    print(f"that is there and the selection is right: {np.mean(right):.3f} of {len(right)}")
    for name, found in sorted(selected.items()):
        print(f"{name}: {sum(found)} of {len(found)} selected")


if __name__ == "__main__":
    main()
