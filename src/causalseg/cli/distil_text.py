"""`causalseg distil-text`: teach a trained model other wordings of its captions."""

from dataclasses import asdict, replace
from pathlib import Path

from causalseg.cli.dialect import Parser, add_model, model_of
from causalseg.errors import InputError
from causalseg.terminal import say


def main(argv: list[str]) -> int:
    """Teach the text tower of a checkpoint, from sentences alone."""
    parser = Parser(
        prog="causalseg distil-text",
        description="Teach the text tower of a chest model what radiology wordings mean: drawn "
        "sentences learn to give the encoding of the caption of the same meaning. No image is "
        "needed, and the answers to captions hardly change.",
    )
    add_model(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the checkpoint that was taught"
    )
    parser.add_argument("--steps", type=int, default=2000, help="of the optimiser (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the sentences (0)")
    parser.add_argument(
        "--context-length", type=int, default=48, help="tokens of a sentence at most (48)"
    )
    args = parser.parse_args(argv)
    if args.out.suffix != ".safetensors":
        raise InputError(f"--out must end in .safetensors, not {args.out.name!r}.")
    if args.steps < 20:
        raise InputError(f"--steps must be at least 20, not {args.steps}.")

    from causalseg.data.preprocessing import Preprocessing
    from causalseg.inference.default import checkpoint_path
    from causalseg.inference.sentences import caption_kind
    from causalseg.models.checkpoint import load_checkpoint, save_checkpoint
    from causalseg.progress import progress
    from causalseg.text.wordings import draw_pair
    from causalseg.training.distil import DistilConfig, distil_text

    name = model_of(args)
    path = checkpoint_path(name)
    saved = load_checkpoint(path)
    if caption_kind(saved.provenance) is None:
        raise InputError(f"{path} was not trained on chest captions: there are no wordings for it.")
    preprocessing = replace(
        Preprocessing.from_dict(saved.preprocessing, path.name),
        reader=saved.model.reader(args.context_length),
    )
    config = DistilConfig(steps=args.steps, seed=args.seed)
    with progress("teaching", config.steps) as (tick, _):
        report = distil_text(
            saved.model, preprocessing.reader, draw_pair, config, lambda *_: tick()
        )
    save_checkpoint(
        args.out,
        saved.model,
        preprocessing=preprocessing.to_dict(),
        threshold=saved.threshold,
        provenance=saved.provenance | {"distilled": asdict(report)},
        trust=saved.trust,
    )
    say(
        f"{args.out}: of {config.held_out} held-out sentences, {report.nearest_after:.3f} are "
        f"nearest to their own caption (before: {report.nearest_before:.3f})."
    )
    return 0
