"""Turn a trained checkpoint into the packaged model: half precision, with its card inside.

    python scripts/package_model.py runs/compact/best.safetensors --hours 1 --hardware "2 cores"

Records of the run's machine (paths) are left out; what a reader needs is kept. The threshold and
the weights are those that validation chose.
"""

import argparse
import json
from pathlib import Path

from causalseg.inference.default import ASSET
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint

CARD = {
    "trained on": "QaTa-COV19, train split (5716 chest X-rays), LViT's captions in SGSeg's wording",
    "licence": "research only, because the data is; cite Degerli et al. and Li et al. (LViT)",
    "use": "research; not a medical device",
}


def main() -> None:
    """Write the asset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument(
        "--first-run", type=Path, help="run folder of the first stage, if there were several"
    )
    parser.add_argument("--hours", type=float, required=True, help="of training, all stages")
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--out", type=Path, default=ASSET)
    args = parser.parse_args()
    saved = load_checkpoint(args.checkpoint)
    run = dict(saved.provenance)
    if args.first_run:  # a later stage starts from a checkpoint; the towers' weights are older
        first = json.loads((args.first_run / "run.json").read_text())
        run["initial_weights"] = first["initial_weights"]
    config = {k: v for k, v in run["config"].items() if k not in ("out", "ckpt_path", "init")}
    config["data"] = {k: v for k, v in config["data"].items() if k not in ("root", "cache")}
    config["model"] = config["model"] | {"weights": run["initial_weights"]["source"]}
    save_checkpoint(
        args.out,
        saved.model,
        preprocessing=saved.preprocessing,
        threshold=saved.threshold,
        provenance={
            "card": CARD | {"training": f"{args.hours:g} hours on {args.hardware}"},
            "modalities": ["CR", "DX"],
            "body_parts": ["CHEST"],
            "config": config,
            "data": {k: {"fingerprint": v["fingerprint"], "records": v["records"]}
                     for k, v in run["data"].items()},
            "initial_weights": run["initial_weights"] | {"source": config["model"]["weights"]},
            "environment": run["environment"],
            "selected": run["selected"],
        },
        half=True,
    )  # fmt: skip
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
