"""`causalseg data`: check a data set, make phantoms, corrupted copies and planted confounders."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli.data_confound import add_confound
from causalseg.cli.dialect import Parser
from causalseg.errors import InputError
from causalseg.files import write_json
from causalseg.progress import progress
from causalseg.terminal import say, show_table

if TYPE_CHECKING:
    from causalseg.data.audit import AuditReport

SHOWN = 10


def main(argv: list[str]) -> int:
    """Run `causalseg data ...`; 0 = well, 1 = the data set has errors, 2 = unusable input."""
    arguments = _parser().parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="causalseg data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="read every file of a data set and report what is wrong",
        description="Read every file of a data set in the LViT layout and report what is wrong. "
        "Exit code 0 without errors (warnings allowed), 1 with errors, 2 if it cannot be read.",
    )
    check.add_argument("root", metavar="ROOT", type=Path, help="folder with Train_Folder etc.")
    check.add_argument("--json", metavar="FILE", type=Path, help="write the whole report as JSON")
    check.add_argument(
        "--context-length",
        metavar="N",
        type=int,
        default=24,
        help="tokens that the model reads (24, as the packaged one)",
    )
    check.add_argument(
        "--subject-pattern",
        metavar="REGEX",
        help="finds the subject in a mask's name (default: sub-X, seqN, patientN, subjectN)",
    )
    check.set_defaults(run=_check)
    make = commands.add_parser(
        "make-phantoms",
        help="draw a data set of chest phantoms",
        description="Draw chest-like images whose captions name some of their opacities, as a "
        "data set in the LViT layout. The same seed gives the same files.",
    )
    make.add_argument("--out", metavar="DIR", type=Path, required=True, help="absent or empty")
    make.add_argument("--count", metavar="N", type=int, default=300, help="default: 300")
    make.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    make.add_argument("--size", metavar="PX", type=int, default=224, help="default: 224")
    make.add_argument(
        "--marker",
        choices=("left", "either", "none"),
        default="left",
        help="where the lead marker L lies: on the patient's left, which is the picture's right "
        "(default), on either side, nowhere",
    )
    make.add_argument(
        "--twins",
        choices=("side", "height", "presence"),
        help="draw two opacities of which the striped one is meant, and leave open in the caption "
        "which side, which height, or whether there is one: for causalseg confound",
    )
    make.set_defaults(run=_make_phantoms)
    corrupt = commands.add_parser(
        "corrupt",
        help="make copies with a known confounder",
        description="Copy a data set once for each corruption, into OUT/<corruption>: blur, dark, "
        "bright, uneven (light), nbi (hue), specular, blood, noise. Masks and texts stay as they "
        "are. The same seed gives the same files.",
    )
    corrupt.add_argument("root", metavar="ROOT", type=Path, help="folder with Train_Folder etc.")
    corrupt.add_argument("--out", metavar="DIR", type=Path, required=True)
    corrupt.add_argument("--kinds", metavar="A,B", help="which ones (all)")
    corrupt.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    corrupt.set_defaults(run=_corrupt)
    add_confound(commands)
    return parser


def _check(arguments: argparse.Namespace) -> int:
    from causalseg.data.audit import audit

    if arguments.json is not None and not arguments.json.absolute().parent.is_dir():
        raise InputError(f"--json {arguments.json}: its folder does not exist.")
    with progress("reading") as (advance, total):
        report = audit(
            arguments.root,
            context_length=arguments.context_length,
            subject_pattern=arguments.subject_pattern,
            start=total,
            advance=advance,
        )
    _show(report)
    if arguments.json is not None:
        write_json(arguments.json, report.to_dict())
    return 1 if report.errors else 0


def _make_phantoms(arguments: argparse.Namespace) -> int:
    from causalseg.data.phantom import make_phantoms
    from causalseg.data.twins import make_twins

    what = (arguments.out, arguments.count, arguments.seed, arguments.size)
    with progress("drawing") as (advance, total):
        total(arguments.count)
        if arguments.twins:
            make_twins(*what, arguments.twins, progress=lambda _: advance())
        else:
            make_phantoms(*what, progress=lambda _: advance(), marker=arguments.marker)
    say(f"{arguments.count} phantoms are in {arguments.out}")
    return 0


def _corrupt(arguments: argparse.Namespace) -> int:
    from causalseg.data.corrupt import CORRUPTIONS, corrupt_dataset

    kinds = arguments.kinds.split(",") if arguments.kinds else list(CORRUPTIONS)
    with progress("corrupting") as (advance, _):
        made = corrupt_dataset(
            arguments.root, arguments.out, kinds, arguments.seed, advance=advance
        )
    for folder in made:
        say(folder)
    return 0


def _show(report: "AuditReport") -> None:
    say(f"Data set {report.root}")
    splits = [facts.split for facts in report.splits]
    show_table(("", *splits), [(label, *values) for label, values in report.table()], right=splits)
    for severity in ("error", "warning"):
        for kind, problems in report.by_kind(severity).items():
            say(f"{severity}: {kind}: {len(problems)}")
            for problem in problems[:SHOWN]:
                say(f"  {problem.where}: {problem.message}")
            if len(problems) > SHOWN:
                say(f"  ... and {len(problems) - SHOWN} more (--json FILE lists all)")
    errors, warnings = len(report.errors), len(report.warnings)
    verdict = "The data set has errors." if errors else "The data set can be used."
    say(f"{errors} error(s), {warnings} warning(s). {verdict}")
