"""Write the table of docs/results/leaderboard.md from a finished leaderboard; no number is typed.

python scripts/make_leaderboard.py --collect qata-slice=DIR   copy what the page needs
python scripts/make_leaderboard.py                            write the page's blocks

A block stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. A table is kept in
docs/results/leaderboards/NAME.json, without paths of the machine that ran it; its picture in
docs/images/leaderboard_NAME.png.
"""

import argparse
from pathlib import Path

from make_ablation import filled
from make_results import ROOT, stored, without_paths

from causalseg.evaluation.files import read_result
from causalseg.experiments.leaderboard_report import cost_picture
from causalseg.experiments.leaderboard_table import LeaderboardTable
from causalseg.experiments.leaderboard_words import leaderboard_markdown
from causalseg.files import write_bytes, write_json

DATA = ROOT / "docs" / "results"
PAGE = DATA / "leaderboard.md"


def picture(name: str) -> Path:
    """Where a leaderboard's picture is kept."""
    return ROOT / "docs" / "images" / f"leaderboard_{name}.png"


def collect(name: str, folder: Path) -> None:
    """Copy a leaderboard's table, and draw it."""
    content = without_paths(read_result(folder / "table.json"))
    write_json(stored(DATA, "leaderboards", {"name": name}), content)
    figure = cost_picture(LeaderboardTable.from_dict(content))
    figure.savefig(picture(name), dpi=110, bbox_inches="tight")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collect", nargs="+", default=[], metavar="NAME=DIR")
    args = parser.parse_args()
    for pair in args.collect:
        name, _, folder = pair.partition("=")
        collect(name, Path(folder))
    text = PAGE.read_text()
    for file in sorted((DATA / "leaderboards").glob("*.json")):
        table = LeaderboardTable.from_dict(read_result(file))
        text = filled(text, file.stem, leaderboard_markdown(table))
    write_bytes(PAGE, text.encode())


if __name__ == "__main__":
    main()
