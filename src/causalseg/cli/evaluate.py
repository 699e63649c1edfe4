"""`causalseg evaluate`: score a checkpoint on a data set, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli.dialect import Parser, add_model, model_of
from causalseg.cli.scoring_options import (
    add_data_options,
    add_scoring_options,
    controls_of,
    print_summary,
    scoring_options,
)
from causalseg.cli.sentence_options import add_flip
from causalseg.errors import InputError
from causalseg.files import sha256_of
from causalseg.progress import progress

if TYPE_CHECKING:
    from causalseg.inference.segmenter import Segmenter


def main(argv: list[str]) -> int:
    """Run the model over the split and write metrics.json, per_image.csv and report.html."""
    parser = Parser(
        prog="causalseg evaluate",
        description="Score a checkpoint: macro and micro Dice and IoU, NSD, HD95, lesion F1, "
        "calibration, with intervals by subject, controls, and pictures of the best and worst.",
    )
    add_model(parser)
    add_data_options(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="a random slice of N images")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (cpu)")
    add_flip(parser)
    add_scoring_options(parser)
    args = parser.parse_args(argv)
    for name in ("limit", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {value}.")

    from causalseg.data.lvit import read_lvit
    from causalseg.evaluation.results import write_results
    from causalseg.evaluation.running import evaluate, predict_record
    from causalseg.evaluation.summary import summarise, summarise_controls
    from causalseg.files import check_folder
    from causalseg.inference.segmenter import Segmenter

    check_folder(args.out)
    segmenter = Segmenter.load(model_of(args), device=args.device, flip=args.flip)
    size = segmenter.preprocessing.size
    options = scoring_options(args, size)
    whole = read_lvit(
        args.data,
        args.split,
        allow_problems=args.allow_problems,
        leaks=args.leaks,
        subject_pattern=args.subject_pattern,
    )
    manifest = whole.limit(args.limit, args.seed)
    with progress("evaluating", len(manifest)) as (tick, _):
        scores, text_controls = evaluate(
            segmenter,
            manifest,
            options,
            batch_size=args.batch_size,
            controls=not args.no_controls,
            tick=tick,
        )
    controls = None
    if not args.no_controls:
        masks = controls_of(manifest, size, allow_problems=args.allow_problems)
        controls = summarise_controls(scores, masks, text_controls)
    run = _run(model_of(args), segmenter) | {"limit": args.limit, "leaks": args.leaks}
    metrics = summarise(scores, manifest, run, controls)
    title = f"{Path(model_of(args)).stem} on {manifest.root.name} ({manifest.split})"
    write_results(
        args.out, title, manifest, scores, metrics, lambda record: predict_record(segmenter, record)
    )
    print_summary(metrics, args.out)
    return 0


def _run(checkpoint: str, segmenter: "Segmenter") -> dict[str, object]:
    from causalseg.inference.default import DEFAULT, checkpoint_path

    path = checkpoint_path(checkpoint)
    return {
        "command": "evaluate",
        "checkpoint": DEFAULT if checkpoint == DEFAULT else path.name,
        "sha256": sha256_of(path),
        "threshold": segmenter.threshold,
        "flip": segmenter.flip,
        "preprocessing": segmenter.preprocessing.to_dict(),
        "provenance": segmenter.provenance,
    }
