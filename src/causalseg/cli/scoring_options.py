"""What `score` and `evaluate` share: options, progress bars, the summary at the end."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.errors import InputError
from causalseg.progress import progress
from causalseg.terminal import say, show_table

if TYPE_CHECKING:
    from causalseg.data.manifest import Manifest
    from causalseg.evaluation.controls import ControlScores
    from causalseg.evaluation.scoring import ScoringOptions, Spacing
    from causalseg.evaluation.set_metrics import SetMetrics


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Which data to score against, and where the results go."""
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="LViT layout")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--allow-problems",
        action="store_true",
        help="leave out rows with errors and record them, instead of stopping",
    )
    parser.add_argument(
        "--leaks",
        choices=("refuse", "leave_out", "keep"),
        default="refuse",
        help="what to do where splits share copies of images or subjects (refuse)",
    )
    parser.add_argument(
        "--subject-pattern",
        metavar="REGEX",
        help="finds the subject in a mask's name (default: sub-X, seqN, patientN, subjectN)",
    )


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """How to score."""
    parser.add_argument(
        "--spacing",
        metavar="MM|MM,MM|CSV",
        help="size of a native pixel in mm: one number, row,column, or a .csv with the columns "
        "name, row_mm, column_mm; HD95 and NSD are then in mm",
    )
    parser.add_argument("--tolerance", type=float, default=2.0, help="of NSD, in pixels or mm (2)")
    parser.add_argument("--resamples", type=int, default=10_000, help="bootstrap resamples (10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (0)")
    parser.add_argument(
        "--no-controls", action="store_true", help="skip the trivial controls (they read training)"
    )


def scoring_options(args: argparse.Namespace, size: int) -> "ScoringOptions":
    """The options as given."""
    from causalseg.evaluation.scoring import ScoringOptions

    return ScoringOptions(
        size=size,
        tolerance=args.tolerance,
        spacing=parse_spacing(args.spacing),
        seed=args.seed,
        resamples=args.resamples,
    )


def parse_spacing(text: str | None) -> "Spacing | dict[str, Spacing] | None":
    """Read "0.7", "0.7,0.5" (row, column), or a CSV with the columns name, row_mm, column_mm."""
    if text is None:
        return None
    if text.lower().endswith(".csv"):
        from causalseg.evaluation.files import read_result_rows

        rows = read_result_rows(Path(text), ("name", "row_mm", "column_mm"))
        try:
            return {r["name"]: (float(r["row_mm"]), float(r["column_mm"])) for r in rows}
        except ValueError as error:
            raise InputError(f"{text}: row_mm and column_mm must be numbers ({error}).") from None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise InputError(f"--spacing takes MM, MM,MM or a .csv file, not {text!r}.")
    return values[0], values[-1]


def controls_of(test: "Manifest", size: int, *, allow_problems: bool) -> "ControlScores | None":
    """Both trivial controls from the training split; None where the data has none."""
    from causalseg.data.lvit import read_lvit, splits_of
    from causalseg.evaluation.controls import mean_masks, score_controls

    if test.split == "train" or "train" not in splits_of(test.root):
        return None
    train = read_lvit(test.root, "train", allow_problems=allow_problems)
    with progress("controls", len(train) + len(test)) as (tick, _):
        return score_controls(mean_masks(train, size, tick), test, tick=tick)


def print_summary(metrics: "SetMetrics", out: Path) -> None:
    """The main figures as a table, and where the rest is."""
    data, options = metrics.data, metrics.options
    lone = metrics.images_without_known_subject
    title = f"{data.root} {data.split}: {metrics.images} images, "
    title += f"{metrics.subjects} subjects" + (f" ({lone} images name none)" if lone else "")
    small, native = metrics.model_size, metrics.native_size
    units = {"nsd": f" ({options.tolerance:g} {options.unit})", "hd95": f" ({options.unit})"}
    rows: list[tuple[object, ...]] = [
        (f"macro {key.replace('_', ' ')}{units.get(key, '')}", value, native.macro[key])
        for key, value in small.macro.items()
    ]
    rows += [(f"micro {key}", value, native.micro[key]) for key, value in small.micro.items()]
    if small.null_accuracy is not None:
        rows.append(("null accuracy", small.null_accuracy, native.null_accuracy))
    if metrics.lesions_left_empty:
        left = f"{metrics.lesions_left_empty} of {metrics.images_with_lesion}"
        rows.append(("images with a lesion left empty", "", left))
    for words, control in metrics.controls.rows() if metrics.controls else ():
        rows.append((f"control, macro dice: {words}", control, ""))
    show_table(
        ("measure", f"at {options.size} px", "at native size"),
        [tuple(map(str, row)) for row in rows],
        title=f"{title}; 95 % intervals",
    )
    if metrics.warning:
        say(f"warning: {metrics.warning}", aside=True)
    say(f"Report: {out / 'report.html'}")
