"""`causalseg models`: the packaged checkpoint, and the models and encoders to train with."""

from dataclasses import asdict

from causalseg.cli.dialect import Parser
from causalseg.terminal import say, say_json


def main(argv: list[str]) -> int:
    """Print the packaged checkpoint's card, then what there is to train."""
    parser = Parser(
        prog="causalseg models",
        description="Describe the checkpoint that comes with the package, and list the models that "
        "can be trained. Wherever a command takes a checkpoint, the name 'default' means the "
        "packaged one.",
    )
    parser.add_argument("--json", action="store_true", help="print the whole header as JSON")
    args = parser.parse_args(argv)

    from causalseg.encoders.config import ENCODERS
    from causalseg.files import sha256_of
    from causalseg.inference.default import DEFAULT, default_checkpoint
    from causalseg.inference.sentences import caption_kind
    from causalseg.models.checkpoint import read_header
    from causalseg.models.registry import MODELS, model_class

    path = default_checkpoint()
    header, digest, length = read_header(path), sha256_of(path), path.stat().st_size
    if args.json:
        say_json(asdict(header) | {"sha256": digest, "bytes": length}, indent=2)
        return 0
    card = header.provenance.get("card", {})
    size = header.preprocessing["size"]
    say(f"{DEFAULT}: {header.architecture}, encoder {header.config['encoder']}")
    say(f"  {length / 1e6:.1f} MB, {size} x {size} px, threshold {header.threshold}")
    kind = caption_kind(header.provenance)
    reads = (
        "taken as written" if kind is None else f"read, for captions of the {kind.sides}'s sides"
    )
    say(f"  sentences: {reads}")
    for name, text in card.items():
        say(f"  {name}: {text}")
    say(f"  sha256: {digest}")
    say("\nModels for training your own (--architecture NAME):")
    for name in MODELS:
        say(f"  {name}: {(model_class(name).__doc__ or '').partition(chr(10))[0]}")
    say(f"\nEncoders for training your own: {', '.join(ENCODERS)}")
    return 0
