"""Write the tables of docs/results/ablation.md from finished grids; no number is typed.

python scripts/make_ablation.py --collect phantoms=DIR qata-slice=DIR   copy what the page needs
python scripts/make_ablation.py                                         write the page's blocks

A block stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. What it is made of is kept in
docs/results, without paths of the machine that ran it: a grid's table in grids/NAME.json, the
report of `causalseg pretrain` in pretrainings/NAME.json.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
from make_results import ROOT, stored, without_paths
from PIL import Image, ImageDraw

from causalseg.errors import InputError
from causalseg.evaluation.files import read_result
from causalseg.evaluation.statistics import Interval
from causalseg.experiments.ablation_report import ablation_markdown
from causalseg.experiments.ablation_table import AblationTable
from causalseg.files import write_bytes, write_json

PAGE, DATA = ROOT / "docs" / "results" / "ablation.md", ROOT / "docs" / "results"


def grid_markdown(content: dict[str, Any]) -> str:
    """A grid's tables."""
    return ablation_markdown(AblationTable.from_dict(content))


def pretraining_markdown(content: dict[str, Any]) -> str:
    """What a pair of towers was trained on, and how well aligned it is."""
    found, swap = content["validation"]["retrieval"], content["validation"]["side_swap"]
    own, side = (Interval(**part) for part in (found["recall_at_1"], swap["share"]))
    return (
        f"{content['encoder']} towers, objective `{content['objective']}`, from "
        f"{content['started_from']} weights: {content['epochs']} epochs over "
        f"{content['trained_on']['records']} training pairs in batches of "
        f"{content['batch_size']} at {content['size']} px. On {found['images']} validation images "
        f"the own caption is first of {found['captions']} in {own:.3f} (always the commonest: "
        f"{found['commonest_caption']:.3f}), and an image is nearer to its caption than to the one "
        f"with left and right exchanged in {side:.3f} (chance: 0.5)."
    )


FORMS = {
    "pretrainings": ("pretrain.json", pretraining_markdown),
    "grids": ("table.json", grid_markdown),
}
"""Folder below docs/results -> the file that a command wrote, and how it is told."""


def collect(name: str, folder: Path) -> None:
    """Copy the result of a grid or a pre-training."""
    for kind, (file, _) in FORMS.items():
        if (folder / file).exists():
            content = without_paths(read_result(folder / file))
            write_json(stored(DATA, kind, {"name": name}), content)
            return
    raise InputError(f"{folder} holds no finished grid or pre-training.")


def masks_picture(folder: Path, path: Path) -> None:
    """The masks of every cell's first seed, one below the other, with their names."""
    strips = []
    for sheet in sorted(folder.glob("cells/*/seed0/masks.png")):
        with Image.open(sheet) as picture:
            rows = np.asarray(picture.convert("RGB"))
        name = read_result(sheet.with_name("metrics.json"))["run"]["cell"]
        title = Image.new("RGB", (rows.shape[1], 18), "white")
        ImageDraw.Draw(title).text((4, 3), name, fill="black")
        strips += [np.asarray(title), rows[: rows.shape[1] // 5 * 2]]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(strips)).quantize(96).save(path, optimize=True)


def filled(text: str, name: str, content: str) -> str:
    """The page with one block replaced."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not found.search(text):
        raise InputError(f"docs/results/ablation.md has no block {name!r}: add {begin} and {end}.")
    return found.sub(lambda _: f"{begin}\n\n{content.strip()}\n\n{end}", text)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collect", nargs="+", default=[], metavar="NAME=DIR")
    parser.add_argument("--picture", type=Path, metavar="DIR", help="draw this grid's masks")
    args = parser.parse_args()
    for pair in args.collect:
        name, _, folder = pair.partition("=")
        collect(name, Path(folder))
    if args.picture:
        masks_picture(args.picture, ROOT / "docs" / "images" / "ablation_masks.png")
    text = PAGE.read_text()
    for kind, (_, told) in FORMS.items():
        for path in sorted((DATA / kind).glob("*.json")):
            text = filled(text, path.stem, told(read_result(path)))
    write_bytes(PAGE, text.encode())


if __name__ == "__main__":
    main()
