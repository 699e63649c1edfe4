"""`causalseg faithfulness`: measure whether the mask follows the text."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli.dialect import Parser, add_model, model_of
from causalseg.cli.sentence_options import add_flip
from causalseg.errors import InputError
from causalseg.progress import progress
from causalseg.terminal import say, show_table

if TYPE_CHECKING:
    from causalseg.evaluation.faithfulness.measures import TestResult
    from causalseg.evaluation.faithfulness.suite import Cases


def main(argv: list[str]) -> int:
    """Run the suite and write faithfulness.json, answers.csv and report.html."""
    parser = Parser(
        prog="causalseg faithfulness",
        description="Edit the captions and see what the masks do: mirrored, side swapped, clause "
        "dropped, absent, paraphrased, shuffled, empty, gibberish.",
        epilog="With --phantoms the true mask of every edited caption is known, so correctness is "
        "scored too. To test another model, see causalseg.evaluation.faithfulness.adapter.",
    )
    add_model(parser, "a .safetensors file, or FILE.py:NAME of an adapter")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="ROOT", help="a data set in LViT layout")
    source.add_argument("--phantoms", type=int, metavar="N", help="draw N phantoms")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--limit", type=int, metavar="N", help="a random slice of N images")
    parser.add_argument("--allow-problems", action="store_true", help="leave out rows with errors")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (cpu)")
    add_flip(parser)
    parser.add_argument("--resamples", type=int, default=10_000, help="bootstrap resamples (10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of edits, slice, bootstrap (0)")
    args = parser.parse_args(argv)
    for name in ("limit", "phantoms", "resamples"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} must be at least 1, not {value}.")

    from causalseg.evaluation.faithfulness.adapter import load_adapter
    from causalseg.evaluation.faithfulness.report import faithfulness_report
    from causalseg.evaluation.faithfulness.suite import run_suite, summarise_suite
    from causalseg.files import check_folder, write_csv, write_json
    from causalseg.version import __version__

    check_folder(args.out)
    model = load_adapter(model_of(args), args.device, flip=args.flip)
    cases = _cases(args)
    with progress("asking", len(cases)) as (tick, _):
        rows = run_suite(model, cases, seed=args.seed, tick=tick)
    tests = summarise_suite(rows, resamples=args.resamples, seed=args.seed)
    title = f"Does the mask follow the text? {Path(model_of(args)).stem} on {cases.title}"
    report = faithfulness_report(title, model, cases, rows, tests, seed=args.seed)
    content = {
        "version": __version__,
        "model": Path(model_of(args)).name,
        "flip": args.flip,
        "data": {"title": cases.title, "fingerprint": cases.fingerprint, "limit": args.limit},
        "images": len(cases),
        "seed": args.seed,
        "resamples": args.resamples,
        "tests": {name: asdict(test) for name, test in tests.items()},
    }
    write_csv(args.out / "answers.csv", rows)
    write_json(args.out / "faithfulness.json", content)
    report.write(args.out / "report.html")
    _print(tests, args.out)
    return 0


def _cases(args: argparse.Namespace) -> "Cases":
    from causalseg.evaluation.faithfulness.suite import phantom_suite, real_cases

    if args.phantoms is not None:
        return phantom_suite(args.phantoms, args.seed)
    from causalseg.data.lvit import read_lvit

    manifest = read_lvit(args.data, args.split, allow_problems=args.allow_problems)
    return real_cases(manifest.limit(args.limit, args.seed))


def _print(tests: "dict[str, TestResult]", out: Path) -> None:
    from causalseg.evaluation.faithfulness.report import line

    show_table(
        ("test", "measure", "result", "perfect", "ignored", "images", "in words"),
        [
            (name, test.measure.replace("_", " "), *line(name, test)[2:])
            for name, test in tests.items()
        ],
        title="Does the mask follow the text? 95 % intervals by subject",
        whole=("result",),
    )
    say(f"Report: {out / 'report.html'}")
