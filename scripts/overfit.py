"""Can the model fit 16 real cases? Trains on nothing else, and scores on the same 16.

    python scripts/overfit.py --data path/QaTa-COV19 --out runs/overfit

A sanity check of model, loss and optimiser, not a result: macro Dice should pass 0.9. The
checkpoint that it leaves can be given to `causalseg evaluate` and `causalseg predict`.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from causalseg import build_model
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.lvit import read_lvit
from causalseg.data.preprocessing import Preprocessing
from causalseg.evaluation.metrics import batch_dice
from causalseg.models.checkpoint import save_checkpoint
from causalseg.text.readers.clip import ClipTokens

GOAL = 0.9


def main() -> None:
    """Train until the goal, or until the epochs are over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="data set in the LViT layout")
    parser.add_argument("--out", type=Path, default=Path("runs/overfit"))
    parser.add_argument("--encoder", default="compact")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--epochs", type=int, default=150)
    args = parser.parse_args()
    torch.manual_seed(0)
    preprocessing = Preprocessing(size=args.size, reader=ClipTokens(24))
    manifest = read_lvit(args.data, "train").limit(16, seed=0)
    dataset = SegmentationDataset(manifest, preprocessing)
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=8))
    model = build_model("causalclipseg", encoder=args.encoder, weights=args.weights).train()
    objective = model.objective()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    start = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        for batch in batches:
            objective(model(batch["image"], batch["tokens"]), batch)["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
        if epoch % 5 == 0:
            score = evaluate(model, batches)
            print(f"epoch {epoch}: macro Dice {score:.3f} on the 16 cases", flush=True)
            if score > GOAL:
                break
    record = {
        "encoder": args.encoder, "weights": args.weights, "size": args.size, "epochs": epoch,
        "macro_dice_on_training_cases": score, "seconds": round(time.perf_counter() - start),
        "threads": torch.get_num_threads(), "fingerprint": manifest.fingerprint(),
    }  # fmt: skip
    save_checkpoint(
        args.out / "best.safetensors",
        model,
        preprocessing=preprocessing.to_dict(),
        threshold=0.5,
        provenance=record,
    )
    (args.out / "overfit.json").write_text(json.dumps(record, indent=2))
    print(json.dumps(record, indent=2))


@torch.no_grad()
def evaluate(model: torch.nn.Module, batches: list[dict[str, torch.Tensor]]) -> float:
    """Macro Dice at threshold 0.5."""
    model.eval()
    scores = [batch_dice(model(b["image"], b["tokens"]).logits > 0, b["mask"] > 0) for b in batches]
    model.train()
    return float(torch.cat(scores).mean())


if __name__ == "__main__":
    main()
