"""Choose `causalseg.models.checks.BANDS`, and measure how often its warning is right.

    python scripts/zone_check.py DATA/QaTa-COV19 --out docs/results/trust/zones.json

Validation images only. Each image is asked by its own caption, and by captions that name another
zone of the same lungs: of what the model then draws, masks that lie in the true lesion all the same
ought to be told. Bands are chosen among a few so that at most 2 % of the true masks lie mostly
outside what their own captions name.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Record
from causalseg.files import sha256_of, write_json
from causalseg.inference.default import DEFAULT, checkpoint_path
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.zones import MOST, outside
from causalseg.models.checks import BANDS, Bands
from causalseg.progress import progress
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import ZONES, LungFinding, lung_finding
from causalseg.text.words import SIDES

Mask = NDArray[np.uint8]
Zones = tuple[tuple[str, str], ...]
MOST_FALSE = 0.02
RIGHT, THERE = 0.7, 0.5
"""Dice from which an answer counts as right; share of a mask in the true lesion from which it was
drawn there."""


@dataclass(frozen=True)
class Drawn:
    """A mask that the model drew for a caption."""

    mask: Mask
    zones: Zones
    """Asked for."""
    kind: str
    there: float
    """Share of the mask in the true lesion; nan for an empty one."""
    dice: float


def zones_of(finding: LungFinding) -> Zones:
    """The zones a caption names, in the viewer's sides, as QaTa's captions mean them."""
    lungs = (("left", finding.left), ("right", finding.right))
    return tuple((side, zone) for side, lung in lungs if lung for zone in lung.zones)


def changed(finding: LungFinding) -> Iterator[tuple[str, LungFinding]]:
    """The caption with one zone in each named lung that it does not name now, and what changed."""
    named = [lung.zones if lung else () for lung in (finding.left, finding.right)]
    options = [[(z,) for z in ZONES if z not in zones] if zones else [()] for zones in named]
    for left, right in product(*options):
        old, new = (max(pair, key=len) for pair in (named, (left, right)))
        both = "both lungs" if all(named) else f"{' '.join(old)} > {' '.join(new)}"
        yield both, lung_finding(left, right)


def draw(segmenter: Segmenter, record: Record) -> Iterator[Drawn]:
    """Masks for a record's own caption, and for those with other zones."""
    truth = read_mask(record.mask)
    own = parse(record.caption)
    assert isinstance(own, LungFinding)
    asked = [("own caption", own), *changed(own)]
    maps = segmenter.probabilities(
        segmenter.encode([read_image(record.image)]), [finding.compose() for _, finding in asked]
    )
    for (kind, finding), probability in zip(asked, maps, strict=True):
        mask = foreground(resize_map(probability, truth.shape), segmenter.threshold)
        common, drawn = int((mask & truth).sum()), int(mask.sum())
        yield Drawn(
            mask.astype(np.uint8),
            zones_of(finding),
            kind,
            common / drawn if drawn else float("nan"),
            2 * common / max(1, drawn + int(truth.sum())),
        )


def told(masks: list[tuple[Mask, Zones]], bands: Bands = BANDS) -> float:
    """Share of masks that the check would tell."""
    return float(np.mean([outside(mask, zones, bands) > MOST for mask, zones in masks]))


def choose(true: list[tuple[Mask, Zones]], strayed: list[tuple[Mask, Zones]]) -> Bands:
    """The bands that tell most of the masks drawn elsewhere than asked."""
    best: tuple[float, Bands] = (-1.0, BANDS)
    for upper, first, last, lower in product(
        (0.46, 0.50, 0.54), (0.28, 0.32, 0.36), (0.68, 0.72), (0.36, 0.40, 0.44)
    ):
        bands = {"upper": (0.0, upper), "middle": (first, last), "lower": (lower, 1.0)}
        if told(true, bands) <= MOST_FALSE:
            best = max(best, (told(strayed, bands), bands), key=lambda pair: pair[0])
    return best[1]


def main() -> None:
    """Choose, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--count", type=int, default=600, help="images that the model sees (600)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    path = checkpoint_path(args.model)
    segmenter = Segmenter.load(path)
    val = read_lvit(args.data, "val", leaks="leave_out")
    true = [(read_mask(r.mask).astype(np.uint8), zones_of(parse(r.caption))) for r in val.records]
    drawn: list[Drawn] = []
    records = val.limit(args.count, 3).records
    with progress("drawing", len(records)) as (tick, _):
        for record in records:
            drawn += draw(segmenter, record)
            tick()
    other = [one for one in drawn if one.kind != "own caption"]
    strayed = [one for one in other if one.there >= THERE]
    kinds = {}
    for kind in sorted({one.kind for one in other}):
        asked = [one for one in other if one.kind == kind]
        there = [(one.mask, one.zones) for one in asked if one.there >= THERE]
        kinds[kind] = {
            "asked": len(asked),
            "empty": sum(bool(np.isnan(one.there)) for one in asked),
            "drawn in the true lesion": len(there),
            "told": round(told(there) * len(there)) if there else 0,
        }
    right = [(o.mask, o.zones) for o in drawn if o.kind == "own caption" and o.dice >= RIGHT]
    swapped = [(mask, tuple((SIDES[side == "left"], z) for side, z in zones))
               for mask, zones in right if len({side for side, _ in zones}) == 1]  # fmt: skip
    record = {
        "model_sha256": sha256_of(path),
        "validation": {"fingerprint": val.fingerprint(), "records": len(val)},
        "bands": BANDS,
        "bands chosen": choose(true, [(one.mask, one.zones) for one in strayed]),
        "true masks": {"masks": len(true), "told": told(true)},
        "right answers": {"masks": len(right), "told": told(right)},
        "right answers, the other lung named": {"masks": len(swapped), "told": told(swapped)},
        "another zone named": kinds,
    }
    write_json(args.out, record)
    print(record)


if __name__ == "__main__":
    main()
