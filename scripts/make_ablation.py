"""Write the tables of docs/results/ablation.md from finished grids; no number is typed.

python scripts/make_ablation.py --collect phantoms=DIR qata-slice=DIR   copy what the page needs
python scripts/make_ablation.py                                         write the page's blocks

A block stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. A grid's table is kept in
docs/results/grids/NAME.json, without paths of the machine that ran it.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from make_results import ROOT, stored, without_paths
from PIL import Image, ImageDraw

from causalseg.errors import InputError
from causalseg.evaluation.files import read_result
from causalseg.experiments.ablation_report import ablation_markdown
from causalseg.experiments.ablation_table import AblationTable
from causalseg.files import write_bytes, write_json

PAGE, DATA = ROOT / "docs" / "results" / "ablation.md", ROOT / "docs" / "results"


def collect(name: str, folder: Path) -> None:
    """Copy a grid's table."""
    write_json(
        stored(DATA, "grids", {"name": name}), without_paths(read_result(folder / "table.json"))
    )


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
    for table in sorted((DATA / "grids").glob("*.json")):
        text = filled(
            text, table.stem, ablation_markdown(AblationTable.from_dict(read_result(table)))
        )
    write_bytes(PAGE, text.encode())


if __name__ == "__main__":
    main()
