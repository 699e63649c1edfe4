"""What reading a sentence is worth: Dice of radiology sentences, read and as written.

    python -m benchmarks.reading_gain data/QaTa-COV19 [--images 200] [--out FILE.json]

Validation images, spread evenly, each with its caption said in the manner of a report, with the
patient's sides. As written, the model is given that sentence itself.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.evaluation.metrics import dice
from causalseg.inference.maps import resize_map
from causalseg.inference.segmenter import Segmenter
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import LungFinding
from causalseg.text.words import OTHER_SIDE, SIDES

Zones = list[tuple[str, str]]
NAMES = {"upper": "upper zone", "middle": "mid zone", "lower": "lower zone"}
CODES = {"upper": "UZ", "middle": "MZ", "lower": "LZ"}


def _listed(zones: Zones) -> str:
    return ", ".join(f"{side} {NAMES[height]}" for side, height in zones)


STYLES: dict[str, Callable[[Zones], str]] = {
    "consolidation": lambda zones: f"Consolidation in the {_listed(zones)}.",
    "abbreviations": lambda zones: (
        "GGO " + ", ".join(f"{side[0].upper()}{CODES[height]}" for side, height in zones)
    ),
    "no effusion": lambda zones: f"No effusion. Airspace opacity, {_listed(zones)}.",
    "not cleared": lambda zones: f"The infiltrates in the {_listed(zones)} have not cleared.",
    "slip": lambda zones: f"Consolidaton in the {_listed(zones)}, heart normal.",
}


def main() -> None:
    """Measure and print macro Dice by style."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    segmenter = Segmenter.load(arguments.model)
    records = read_lvit(arguments.root, "val").records
    records = records[:: max(1, len(records) // arguments.images)][: arguments.images]
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in ("caption", *STYLES)}
    for record in records:
        finding = parse(record.caption)
        assert isinstance(finding, LungFinding)
        zones = sorted((OTHER_SIDE[side], height) for side, height in finding.zones)
        zones.sort(key=lambda zone: SIDES.index(zone[0]))
        texts = [record.caption, *(style(zones) for style in STYLES.values())]
        image = segmenter.encode([read_image(record.image)])
        read = [segmenter.sentence(text).given for text in texts]
        maps = segmenter.probabilities(image, [*read, *texts])
        mask = read_mask(record.mask) > 0
        found = [
            float(dice(resize_map(one, mask.shape) >= segmenter.threshold, mask)) for one in maps
        ]
        for name, pair in zip(scores, zip(found, found[len(texts) :], strict=False), strict=True):
            scores[name].append(pair)
    table = {
        name: dict(zip(("read", "as written"), np.mean(pairs, axis=0).round(4), strict=True))
        for name, pairs in scores.items()
    }
    result = {"images": len(records), "split": "val", "model": arguments.model, "dice": table}
    print(json.dumps(result, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
