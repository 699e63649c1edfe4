"""`causalseg lodo mechanism`: what the intervention does to images corrupted by a known cause."""

from dataclasses import asdict
from pathlib import Path

from causalseg.cli.dialect import Parser, add_model, model_of
from causalseg.terminal import show_table


def main(argv: list[str]) -> int:
    """Measure drift and attention on clean and corrupted copies, print and write a table."""
    parser = Parser(
        prog="causalseg lodo mechanism",
        description="For each corruption, on the same images clean and corrupted: Dice, drift of "
        "the features before and after the intervention, and the attention on the prompt that "
        "names the cause.",
    )
    add_model(parser, "an MCDRL checkpoint")
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="LViT layout")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--kinds", help="corruptions, with commas between (all)")
    parser.add_argument("--limit", type=int, metavar="N", help="a random slice of N images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corruptions and the slice")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON")
    args = parser.parse_args(argv)

    from causalseg.data.corrupt import CORRUPTIONS
    from causalseg.data.lvit import read_lvit
    from causalseg.errors import InputError
    from causalseg.experiments.mechanism import measure_mechanism
    from causalseg.files import write_json
    from causalseg.inference.segmenter import Segmenter

    kinds = args.kinds.split(",") if args.kinds else list(CORRUPTIONS)
    unknown = [kind for kind in kinds if kind not in CORRUPTIONS]
    if unknown:
        known = ", ".join(CORRUPTIONS)
        raise InputError(f"there is no corruption {unknown[0]!r}; choose from {known}.")
    manifest = read_lvit(args.data, args.split).limit(args.limit, args.seed)
    found = measure_mechanism(Segmenter.load(model_of(args)), manifest, kinds, seed=args.seed)
    write_json(
        args.out,
        {"checkpoint": model_of(args), "corruptions": {k: asdict(v) for k, v in found.items()}},
    )

    columns = ("Dice clean", "Dice", "drift before", "drift after", "attention clean", "corrupted")
    rows = []
    for kind, effect in found.items():
        shown = [effect.dice_clean, effect.dice, effect.drift_dense, effect.drift_fused]
        attention = effect.attention
        shown += [attention.clean, attention.corrupted] if attention else [None, None]
        rows.append([kind, *("" if value is None else f"{value:.4f}" for value in shown)])
    show_table(("corruption", *columns), rows)
    return 0
