"""Turn a trained checkpoint into the packaged model: half precision, with its card inside.

    python scripts/package_model.py runs/compact/best.safetensors --hours 1 --hardware "2 cores"
    causalseg calibrate --data data/QaTa-COV19 --leaks leave_out --out ASSET.safetensors

Records of the run's machine (paths) are left out; what a reader needs is kept. The threshold and
the weights are those that validation chose.
"""

import argparse
from pathlib import Path

from causalseg.files import sha256_of
from causalseg.inference.default import ASSET
from causalseg.models.checkpoint import load_checkpoint, read_header, save_checkpoint

TRAINED_ON = "QaTa-COV19, train split ({} chest X-rays), LViT's captions in SGSeg's wording"
LATER_STEPS = ("captions", "continued_from", "averaged_with", "distilled")
CARD = {
    "licence": "research only, because the data is; cite Degerli et al. and Li et al. (LViT)",
    "use": "research; not a medical device",
}


def main() -> None:
    """Write the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument(
        "--first", type=Path, help="checkpoint that the run started from (--init), if any"
    )
    parser.add_argument("--revision", help="git revision of the code, where the run has none")
    parser.add_argument("--hours", type=float, required=True, help="of training, all stages")
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--out", type=Path, default=ASSET)
    args = parser.parse_args()
    saved = load_checkpoint(args.checkpoint)
    run = dict(saved.provenance)
    if args.first:  # a later stage starts from a checkpoint; the towers' weights are older
        first = read_header(args.first).provenance
        run["initial_weights"] = first["initial_weights"]
        run["continued_from"] = {"sha256": sha256_of(args.first), "config": first["config"]}
    if args.revision:
        run["environment"] = run["environment"] | {"git_revision": args.revision}
    config = {k: v for k, v in run["config"].items() if k not in ("out", "ckpt_path", "init")}
    config["data"] = {k: v for k, v in config["data"].items() if k not in ("root", "cache")}
    config["model"] = config["model"] | {"weights": run["initial_weights"]["source"]}
    save_checkpoint(
        args.out,
        saved.model,
        preprocessing=saved.preprocessing,
        threshold=saved.threshold,
        provenance={
            "card": {"trained on": TRAINED_ON.format(run["data"]["train"]["records"])}
            | CARD | {"training": f"{args.hours:g} hours on {args.hardware}"},
            "modalities": ["CR", "DX"],
            "body_parts": ["CHEST"],
            "config": config,
            "data": {k: {"fingerprint": v["fingerprint"], "records": v["records"]}
                     for k, v in run["data"].items()},
            "initial_weights": run["initial_weights"] | {"source": config["model"]["weights"]},
            "environment": run["environment"],
            "selected": run["selected"],
            **{k: run[k] for k in LATER_STEPS if k in run},
        },
        trust=saved.trust,
        half=True,
    )  # fmt: skip
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
