"""Write the tables and the picture of docs/results/confounders.md; no number is typed.

python scripts/make_confound.py --collect tag=RUNS clip=RUNS   keep what the page needs of grids
python scripts/make_confound.py --plants                       draw the picture of each plant
python scripts/make_confound.py                                write the page's tables

RUNS is a folder with runs of `causalseg confound` anywhere below it, of one plant. Kept are, in
docs/results/confound, NAME.json (the table) and NAME.csv (Dice of every test image of every run),
from which the table is computed.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from make_ablation import filled
from make_results import ROOT
from PIL import Image, ImageDraw

from causalseg.data.plants import PLANTS, draw_plant
from causalseg.data.twins import twin_cases
from causalseg.evaluation.files import read_result, read_result_rows
from causalseg.evaluation.plots import PREDICTION_COLOUR
from causalseg.experiments.confound_report import READING, confound_tables
from causalseg.experiments.confound_table import PER_IMAGE, RESULT, ConfoundTable, tabulate_confound
from causalseg.files import write_bytes, write_csv, write_json
from causalseg.inference.pictures import overlay

PAGE = ROOT / "docs" / "results" / "confounders.md"
DATA = ROOT / "docs" / "results" / "confound"
PICTURE = ROOT / "docs" / "images" / "plants.png"
_SIDE = 128


def collect(name: str, runs: Path) -> None:
    """Keep a grid's table and the Dice of its images."""
    folders = [path.parent for path in sorted(runs.rglob(RESULT))]
    settings = read_result(folders[0] / "cell.json")["settings"]
    order = {row: i for i, row in enumerate(_rows())}
    folders.sort(key=lambda f: (order[read_result(f / RESULT)["row"]], str(f)))
    table = tabulate_confound(folders, plant=settings["plant"], predicts=settings["predicts"])
    write_json(DATA / f"{name}.json", asdict(table), indent=1)
    rows = []
    for folder in folders:
        run = read_result(folder / RESULT)
        head = {key: run[key] for key in ("strength", "row", "seed", "data_seed")}
        for image in read_result_rows(
            folder / PER_IMAGE, ("name", "aligned", "conflict", "removed")
        ):
            dice = {k: f"{float(image[k]):.4f}" for k in ("aligned", "conflict", "removed")}
            rows.append(head | {"name": image["name"]} | dice)
    write_csv(DATA / f"{name}.csv", rows)


def _rows() -> list[str]:
    from causalseg.experiments.confound_config import ROWS

    return list(ROWS)


def plants_picture() -> None:
    """Every plant at both of its places on one twin phantom, and its mask."""
    case = next(c for c in twin_cases(12, seed=0, size=_SIDE) if c.mask.any())
    strips = []
    for place in ("left", "right"):
        tiles = []
        for kind in PLANTS:
            image, where = draw_plant(kind, case.image, place, np.random.default_rng(1), case.mask)
            shown = np.zeros_like(where) if where.all() else where
            tiles.append(np.vstack([np.repeat(image[..., None], 3, 2), overlay(image, shown)]))
        strips.append(np.hstack(tiles))
    target = overlay(case.image, case.mask, PREDICTION_COLOUR)
    title = Image.new("RGB", (_SIDE * (len(PLANTS) + 1), 18), "white")
    for i, name in enumerate(("target", *PLANTS)):
        ImageDraw.Draw(title).text((i * _SIDE + 4, 3), name, fill="black")
    first = np.full((4 * _SIDE, _SIDE, 3), 255, np.uint8)
    first[: 2 * _SIDE] = np.vstack([np.repeat(case.image[..., None], 3, 2), target])
    body = np.hstack([first, np.vstack(strips)])
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.vstack([np.asarray(title), body]))
    picture.quantize(96).save(PICTURE, optimize=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collect", nargs="+", default=[], metavar="NAME=RUNS")
    parser.add_argument("--plants", action="store_true", help="draw the picture of each plant")
    args = parser.parse_args()
    for pair in args.collect:
        name, _, runs = pair.partition("=")
        collect(name, Path(runs))
    if args.plants:
        plants_picture()
    text = PAGE.read_text()
    for path in sorted(DATA.glob("*.json")):
        table = ConfoundTable.from_dict(read_result(path))
        text = filled(text, path.stem, confound_tables(table))
    text = filled(text, "reading", "\n\n".join(READING))
    write_bytes(PAGE, text.encode())


if __name__ == "__main__":
    main()
