"""`causalseg caption`: read sentences, parse captions, derive them from masks, edit them."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalseg.cli import caption_read, dialect
from causalseg.errors import InputError
from causalseg.progress import track
from causalseg.terminal import say, show_table

if TYPE_CHECKING:
    from causalseg.text.captions import Finding

_MASK_SUFFIXES = {".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg"}


def main(argv: list[str]) -> int:
    """Run `causalseg caption ...`; 0 = well, 1 = captions that do not parse, 2 = bad input."""
    arguments = _parser().parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = dialect.Parser(prog="causalseg caption", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    parse = commands.add_parser(
        "parse",
        help="read a table of captions into findings",
        description="Read the captions of a table with the columns Image and Description. "
        "Exit code 0 when all parse, 1 when some do not, 2 when the table cannot be read.",
    )
    parse.add_argument("table", metavar="FILE", type=Path, help=".csv or .xlsx")
    parse.add_argument("--json", metavar="OUT", type=Path, help="write every finding as JSON")
    parse.set_defaults(run=_parse)
    caption_read.add(commands)
    _add_derive(commands)
    edit = commands.add_parser(
        "edit",
        help="show a caption's edits and what each must do to the mask",
        description="Show the edits of a caption that apply to it: new text, and what it must do "
        "to the mask. The same seed gives the same edits.",
    )
    edit.add_argument("caption", metavar="TEXT")
    edit.add_argument("--seed", metavar="S", type=int, default=0, help="default: 0")
    edit.add_argument("--json", metavar="OUT", type=Path, help="write the edits as JSON")
    edit.set_defaults(run=_edit)
    return parser


def _add_derive(commands: Any) -> None:
    derive = commands.add_parser(
        "derive",
        help="write captions for your own masks",
        description="Write a caption for every mask of a folder, by a stated rule. Lungs: the "
        "sides are the image's halves (the viewer's left is left), the zones lie between two "
        "cuts of the image's height. Polyps: count, size and grid cell of each component.",
    )
    derive.add_argument("--masks", metavar="DIR", type=Path, required=True, help="PNG, TIFF, BMP")
    derive.add_argument("--out", metavar="FILE.csv", type=Path, required=True)
    derive.add_argument(
        "--wording", choices=("sgseg", "lvit", "polyp"), default="sgseg", help="default: sgseg"
    )
    derive.add_argument(
        "--cuts",
        metavar=("TOP", "BOTTOM"),
        type=float,
        nargs=2,
        help="where the middle zone begins and ends, as fractions of the height "
        "(default: 0.321 0.348, calibrated on QaTa-COV19; anatomical thirds: 0.333 0.667)",
    )
    derive.add_argument(
        "--compare", metavar="FILE", type=Path, help="table of captions to measure agreement with"
    )
    derive.set_defaults(run=_derive)


def _parse(arguments: argparse.Namespace) -> int:
    from causalseg.data.lvit import read_captions
    from causalseg.files import Row, write_json
    from causalseg.text.captions import parse
    from causalseg.text.words import CaptionError

    rows = read_captions(arguments.table)
    if not rows:
        raise InputError(f"{arguments.table} holds no rows: nothing to parse.")
    entries: list[Row] = []
    counts: Counter[str] = Counter()
    for number, name, text in rows:
        entry: Row = {"row": number, "image": name, "caption": text}
        try:
            finding = parse(text)
        except CaptionError as error:
            entry |= {"finding": None, "not_understood": list(error.words)}
            say(f"row {number} ({name}): {error}")
        else:
            counts[finding.wording] += 1
            entry |= {"finding": asdict(finding), "exact": finding.compose() == text}
        entries.append(entry)
    wordings = ", ".join(f"{count} in wording {name}" for name, count in counts.most_common())
    distinct = len({text for *_, text in rows})
    say(
        f"{counts.total()} of {len(rows)} captions parsed ({distinct} distinct"
        f"{'; ' + wordings if wordings else ''}); {len(rows) - counts.total()} did not."
    )
    if arguments.json is not None:
        write_json(arguments.json, {"table": str(arguments.table), "captions": entries})
    return 0 if counts.total() == len(rows) else 1


def _derive(arguments: argparse.Namespace) -> int:
    from causalseg.data.images import read_mask
    from causalseg.files import write_csv
    from causalseg.text.derive import QATA_CUTS, derive_lung, derive_polyp

    lungs = arguments.wording != "polyp"
    if not lungs and (arguments.cuts or arguments.compare):
        raise InputError("--cuts and --compare are for lung captions: leave them out for polyps.")
    if not arguments.masks.is_dir():
        raise InputError(f"--masks {arguments.masks} is not a folder: name the folder of masks.")
    files = sorted(path for path in arguments.masks.iterdir() if path.is_file())
    paths = [path for path in files if path.suffix.lower() in _MASK_SUFFIXES]
    if not paths:
        raise InputError(f"{arguments.masks} holds no mask: PNG, TIFF and BMP files are read.")
    cuts = tuple(arguments.cuts or QATA_CUTS)
    findings: list[Finding] = []
    if len(files) > len(paths):
        others = [path.name for path in files if path not in paths]
        say(f"not images, left out: {', '.join(others)}")
    for path in track(paths, "reading masks", len(paths)):
        mask = read_mask(path)
        findings.append(derive_lung(mask, arguments.wording, cuts) if lungs else derive_polyp(mask))
    names = [path.name for path in paths]
    if arguments.compare is not None:
        _compare(names, findings, arguments.compare)
    rows = [
        {"Image": name, "Description": finding.compose()}
        for name, finding in zip(names, findings, strict=True)
    ]
    write_csv(arguments.out, rows)
    empty = sum(finding.absent for finding in findings)
    say(f"{len(rows)} captions ({empty} of empty masks) written to {arguments.out}")
    return 0


def _compare(names: Sequence[str], findings: "Sequence[Finding]", table: Path) -> None:
    from causalseg.data.lvit import read_captions
    from causalseg.text.captions import parse
    from causalseg.text.derive import agreement
    from causalseg.text.grammar_lung import LungFinding

    written = {name: parse(text) for _, name, text in read_captions(table)}
    missing = [name for name in names if name not in written]
    if missing:
        raise InputError(
            f"{table} has no row for {len(missing)} of the masks, first {missing[0]}: "
            "--compare needs one for each."
        )
    theirs = [written[name] for name in names]
    mine = [finding for finding in findings if isinstance(finding, LungFinding)]
    lungs = [finding for finding in theirs if isinstance(finding, LungFinding)]
    if len(lungs) != len(theirs):
        raise InputError(f"{table} holds captions that are not about lungs: compare lungs only.")
    found = agreement(mine, lungs)
    say(f"agreement with {table.name} over {found.images} images:")
    for label, count, total in (
        ("same lungs named", found.laterality, found.images),
        ("zones of a named lung exact", found.lungs_exact, found.lungs),
        ("whole caption exact", found.captions, found.images),
    ):
        share = f"{100 * count / total:.1f} %" if total else "none"
        say(f"  {label:<28} {share:>8}  ({count} of {total})")


def _edit(arguments: argparse.Namespace) -> int:
    from causalseg.files import write_json
    from causalseg.text.edits import edits_of

    edits = edits_of(arguments.caption, arguments.seed)
    rows = [(edit.kind, edit.expectation, edit.caption or "(empty)") for edit in edits]
    show_table(("edit", "the mask", "new caption"), rows)
    if arguments.json is not None:
        content = [
            asdict(edit) | {"gone": sorted(edit.gone), "gained": sorted(edit.gained)}
            for edit in edits
        ]
        write_json(arguments.json, {"caption": arguments.caption, "edits": content})
    return 0
