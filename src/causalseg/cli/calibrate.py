"""`causalseg calibrate`: measure when a model's answers can be believed."""

from dataclasses import asdict
from pathlib import Path

from causalseg.cli.dialect import Parser, add_model, model_of
from causalseg.errors import InputError
from causalseg.terminal import say


def main(argv: list[str]) -> int:
    """Set the checks on training and validation images and write them into a checkpoint."""
    parser = Parser(
        prog="causalseg calibrate",
        description="Teach a chest model its limits: whether a picture is of the kind that it "
        "was trained on, whether the image shows anything in the lungs and zones that a sentence "
        "names (a small head learns it, the model is left as it is), which "
        "Dice a mask can be expected to have, and where masks can lie. They are measured on "
        "training and validation images, kept in the checkpoint, and reported with every answer. "
        "Test images are not "
        "looked at.",
    )
    add_model(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="LViT layout")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="where to write the checkpoint with its checks",
    )
    parser.add_argument(
        "--sample", type=int, default=700, help="training images for the picture check (700)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="validation images (all)")
    parser.add_argument("--seed", type=int, default=0, help="seed for choosing images (0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (cpu)")
    parser.add_argument(
        "--leaks", choices=("refuse", "leave_out", "keep"), default="refuse",
        help="what to do where splits share copies of images or subjects (refuse)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.out.suffix != ".safetensors":
        raise InputError(f"--out must end in .safetensors, not {args.out.name!r}.")
    if args.sample < 64 or (args.limit is not None and args.limit < 100):
        raise InputError("--sample must be at least 64, and --limit at least 100.")

    from causalseg.data.lvit import read_lvit
    from causalseg.evaluation.trust import calibrate, steps
    from causalseg.files import write_json
    from causalseg.inference.default import checkpoint_path
    from causalseg.inference.segmenter import Segmenter
    from causalseg.models.checkpoint import add_trust
    from causalseg.progress import progress

    name = model_of(args)
    path = checkpoint_path(name)
    segmenter = Segmenter.load(path, device=args.device)
    train = read_lvit(args.data, "train", leaks=args.leaks)
    val = read_lvit(args.data, "val", leaks=args.leaks).limit(args.limit, args.seed)
    with progress("calibrating", steps(train, val)) as (tick, _):
        trust, report = calibrate(
            segmenter, train, val, sample=args.sample, seed=args.seed, tick=tick
        )
    add_trust(path, args.out, trust)
    record = asdict(report) | {
        "validation": {"fingerprint": val.fingerprint(), "records": len(val)},
        "presence_empty": trust.presence.empty if trust.presence else None,
        "presence_doubt": trust.presence.doubt if trust.presence else None,
        "presence_zone": trust.presence.zone if trust.presence else None,
        "temperature": trust.overlap.temperature if trust.overlap else None,
        "sample": args.sample,
        "seed": args.seed,
    }
    write_json(args.out.with_suffix(".calibration.json"), record)
    say(
        f"{args.out}: a healthy lung that is named is left empty in {report.null_accuracy:.3f} of "
        f"cases (before: {report.null_accuracy_before:.3f}) and left empty or doubted in "
        f"{report.told:.3f}, a lung with a finding in {report.wrongly_empty:.3f} and "
        f"{report.wrongly_doubted:.3f}, a zone without a finding beside one is doubted in "
        f"{report.zones_told:.3f}; AUROC {report.auroc:.3f}; macro Dice {report.dice:.4f} "
        f"(before: {report.dice_before:.4f}). Expected Dice: Spearman {report.spearman:.2f}, mean "
        f"error {report.expected_error:.3f}, {100 * report.covered:.0f} % inside the interval."
    )
    return 0
