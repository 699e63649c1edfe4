"""`causalseg forensics`: is a published Dice and IoU macro or micro?"""

from typing import TYPE_CHECKING

from causalseg.cli.dialect import Parser
from causalseg.terminal import say, show_table

if TYPE_CHECKING:
    from causalseg.evaluation.forensics import Verdict
    from causalseg.experiments.published import Published


def main(argv: list[str]) -> int:
    """Judge one pair, or print the published rows with their verdicts."""
    parser = Parser(
        prog="causalseg forensics",
        description="Tell whether a published pair of Dice and IoU is macro (mean of images) or "
        "micro (pixels summed over the set), by IoU = D / (2 - D).",
        epilog="Examples: causalseg forensics 85.21 76.90; causalseg forensics --table",
    )
    parser.add_argument("dice", nargs="?", metavar="DICE", help="as percent or as fraction")
    parser.add_argument("iou", nargs="?", metavar="IOU", help="on the same scale")
    parser.add_argument("--table", action="store_true", help="print the published rows instead")
    args = parser.parse_args(argv)
    if not args.table and (args.dice is None or args.iou is None):
        parser.error("give DICE and IOU, or --table")

    from causalseg.evaluation.forensics import examine
    from causalseg.experiments.published import LEADERBOARD

    if args.table:
        _print_table([(row, examine(f"{row.dice:.2f}", f"{row.iou:.2f}")) for row in LEADERBOARD])
        return 0
    _print_verdict(examine(args.dice, args.iou))
    return 0


def _print_verdict(verdict: "Verdict") -> None:
    say(f"Dice {verdict.dice:.2%}, IoU {verdict.iou:.2%}: {verdict.kind}")
    say(f"D / (2 - D) = {verdict.expected_micro_iou:.2%}; gap {verdict.gap:+.2%}")
    say(verdict.words)


def _print_table(rows: "list[tuple[Published, Verdict]]") -> None:
    show_table(
        ("data", "method", "Dice", "IoU", "gap", "scale", "note"),
        [
            (
                row.data,
                row.method,
                f"{row.dice:.2f}",
                f"{row.iou:.2f}",
                f"{100 * verdict.gap:+.2f}",
                verdict.kind,
                row.note,
            )
            for row, verdict in rows
        ],
        title="Published rows, percent (read up to November 2026)",
    )
