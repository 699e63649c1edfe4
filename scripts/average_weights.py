"""Average the weights of a model and of its continued training.

    python scripts/average_weights.py RUN/best.safetensors --first FIRST.safetensors --out OUT

The mean of both often keeps what the first knew and takes on most of what the second learned
(Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). Preprocessing, threshold and
record are those of the continued run.
"""

import argparse
from pathlib import Path

from causalseg.errors import InputError
from causalseg.files import sha256_of
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    """Write the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="of the continued run")
    parser.add_argument("--first", type=Path, required=True, help="what it started from")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    saved, first = load_checkpoint(args.checkpoint), load_checkpoint(args.first)
    weights, others = saved.model.state_dict(), first.model.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in others.items()}:
        raise InputError(f"{args.first} is of another network than {args.checkpoint}.")
    mean = {
        key: (value.float() + others[key].float()).div(2).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in weights.items()
    }
    saved.model.load_state_dict(mean)
    save_checkpoint(
        args.out,
        saved.model,
        preprocessing=saved.preprocessing,
        threshold=saved.threshold,
        provenance=saved.provenance | {"averaged_with": sha256_of(args.first)},
        trust=saved.trust,
    )


if __name__ == "__main__":
    main()
