"""`causalseg data confound`: copy a data set with a planted confounder."""

import argparse
from pathlib import Path
from typing import Any

from causalseg.progress import progress
from causalseg.terminal import say


def add_confound(commands: Any) -> None:
    """Add the command to those of `causalseg data`."""
    parser = commands.add_parser(
        "confound",
        help="plant a confounder of known place and strength",
        description="Copy a data set with a plant in each image (a tag, a clip, a border, a bright "
        "patch, another tone, letters) that tells, with the strength given, what the answer is. "
        "OUT is a data set to train on; OUT/removed, OUT/independent and OUT/reversed hold the "
        "same test images with another plant. Each split has the plants' own masks in plant/ and "
        "their list in plants.csv. The same seed gives the same files.",
    )
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder with Train_Folder etc.")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="must not exist")
    parser.add_argument(
        "--plant", default="tag", help="tag, clip, border, patch, tone or text (tag)"
    )
    parser.add_argument(
        "--predicts", default="side", help="side, height, size or presence (of the mask; side)"
    )
    parser.add_argument(
        "--strength",
        metavar="P",
        type=float,
        default=0.95,
        help="share of images in which it agrees with the answer: 0.5 is none, 1 is always (0.95)",
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--hide-words",
        action="store_true",
        help="give all images one caption, which names no place, so that words tell nothing",
    )
    parser.set_defaults(run=_confound)


def _confound(arguments: argparse.Namespace) -> int:
    from causalseg.data.planted import PlantSpec, plant_dataset

    spec = PlantSpec(arguments.plant, arguments.predicts, arguments.seed)
    with progress("planting") as (advance, _):
        made = plant_dataset(
            arguments.root,
            arguments.out,
            spec,
            arguments.strength,
            hide_words=arguments.hide_words,
            advance=advance,
        )
    say(made)
    return 0
