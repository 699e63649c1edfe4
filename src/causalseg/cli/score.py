"""`causalseg score`: score a folder of anybody's masks or probabilities."""

from pathlib import Path

from causalseg.cli.dialect import Parser
from causalseg.cli.scoring_options import (
    add_data_options,
    add_scoring_options,
    controls_of,
    print_summary,
    scoring_options,
)
from causalseg.errors import InputError
from causalseg.progress import progress


def main(argv: list[str]) -> int:
    """Score every prediction; a missing one is an error."""
    parser = Parser(
        prog="causalseg score",
        description="Score a folder of masks or probability maps of any model against a data set: "
        "Dice, IoU, NSD, HD95, lesion F1, calibration, with intervals by subject and controls.",
    )
    parser.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help="folder with one PNG, TIFF, BMP or NPY file per image, named like its mask",
    )
    add_data_options(parser)
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="files hold probabilities (8 bit / 255, 16 bit / 65535, NPY float in 0..1)",
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="for probabilities (0.5)")
    parser.add_argument("--size", type=int, default=224, help="the model's size in pixels (224)")
    add_scoring_options(parser)
    args = parser.parse_args(argv)
    if not 0 < args.threshold <= 1:
        raise InputError(f"--threshold must lie above 0 and at most at 1, not {args.threshold}.")
    options = scoring_options(args, args.size)

    from causalseg.data.lvit import read_lvit
    from causalseg.data.manifest import Record
    from causalseg.evaluation.predictions import Prediction, find_predictions, read_prediction
    from causalseg.evaluation.results import write_results
    from causalseg.evaluation.scoring import score
    from causalseg.evaluation.summary import summarise, summarise_controls
    from causalseg.files import check_folder

    check_folder(args.out)
    manifest = read_lvit(
        args.data,
        args.split,
        allow_problems=args.allow_problems,
        leaks=args.leaks,
        subject_pattern=args.subject_pattern,
    )
    files = find_predictions(args.predictions, manifest.records)

    def predicted(record: Record) -> Prediction:
        return read_prediction(
            files[record.name], probabilities=args.probabilities, threshold=args.threshold
        )

    with progress("scoring", len(manifest)) as (tick, _):
        scores = score(manifest, map(predicted, manifest.records), options, tick)
    controls = None
    if not args.no_controls:
        masks = controls_of(manifest, args.size, allow_problems=args.allow_problems)
        controls = None if masks is None else summarise_controls(scores, masks, None)
    run = {
        "command": "score",
        "leaks": args.leaks,
        "predictions": args.predictions.name,
        "probabilities": args.probabilities,
        "threshold": args.threshold if args.probabilities else None,
    }
    metrics = summarise(scores, manifest, run, controls)
    title = f"{args.predictions.name} on {manifest.root.name} ({manifest.split})"
    write_results(args.out, title, manifest, scores, metrics, predicted)
    print_summary(metrics, args.out)
    return 0
