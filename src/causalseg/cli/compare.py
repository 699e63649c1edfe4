"""`causalseg compare`: paired comparison of scored runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli.dialect import Parser
from causalseg.errors import InputError
from causalseg.terminal import say, show_table

if TYPE_CHECKING:
    from causalseg.evaluation.comparison import Comparison


def main(argv: list[str]) -> int:
    """Compare all pairs, print what may be claimed, and write the report."""
    parser = Parser(
        prog="causalseg compare",
        description="Compare runs scored by 'evaluate' or 'score' on the same images.",
        epilog="To compare methods over several training seeds, join their folders with commas: "
        "causalseg compare ours=runs/a0,runs/a1,runs/a2 theirs=runs/b0,runs/b1 --out cmp",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="[NAME=]DIR[,DIR...]",
        help="the score folders of one method, one per seed",
    )
    parser.add_argument(
        "--metrics", default="dice", help="columns of per_image.csv, separated by commas (dice)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--resamples", type=int, default=10_000, help="bootstrap resamples and sign flips (10000)"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if len(args.runs) < 2:
        raise InputError("compare needs at least two runs.")
    if args.resamples < 1:
        raise InputError(f"--resamples must be positive, not {args.resamples}.")

    from causalseg.evaluation.comparison import Method, align, compare_methods, read_run
    from causalseg.evaluation.comparison_report import write_comparison
    from causalseg.files import check_folder

    check_folder(args.out)
    measures = [measure.strip() for measure in args.metrics.split(",")]
    named = dict(map(_side, args.runs))
    if len(named) < len(args.runs):
        raise InputError("two methods have the same name: write NAME=DIR to give each its own.")
    aligned = iter(align([read_run(f, measures) for folders in named.values() for f in folders]))
    methods = [
        Method(name, tuple(next(aligned) for _ in folders)) for name, folders in named.items()
    ]
    found = compare_methods(methods, measures, resamples=args.resamples, seed=args.seed)
    write_comparison(args.out, methods, measures, found, resamples=args.resamples, seed=args.seed)
    _print(found, args.out)
    return 0


def _side(text: str) -> tuple[str, list[Path]]:
    name, equals, folders = text.rpartition("=")
    paths = [Path(part) for part in folders.split(",") if part]
    if not paths:
        raise InputError(f"{text!r} names no folder.")
    return (name if equals and name else paths[0].name), paths


def _print(comparisons: "list[Comparison]", out: Path) -> None:
    show_table(
        ("measure", "A", "B", "A - B", "p", "p (Holm)"),
        [
            (c.measure, c.a, c.b, str(c.difference), f"{c.p:.4f}", f"{c.p_holm:.4f}")
            for c in comparisons
        ],
        title="Paired differences, 95 % intervals by subject",
    )
    for c in comparisons:
        say(f"{c.measure}: {c.claim}")
    say(f"Report: {out / 'report.html'}")
