"""Cost of MCDRL's intervention at inference, against the same model without it.

    python benchmarks/mcdrl_cost.py --encoders RN50,ViT-B-16 --size 224

Weights are random: they do not change the cost. Time is CPU time of one thread, the least of the
repeats, so that other programs on the machine do not count.
"""

import argparse
import gc
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from causalseg import build_model
from causalseg.markdown import markdown_table

VARIANTS = {
    "baseline": {"intervention": False, "alpha": 1.0},
    "full, depth 1": {"depth": 1},
    "full, depth 3": {"depth": 3},
    "full, depth 5": {"depth": 5},
    "intervention alone (alpha 1), depth 3": {"alpha": 1.0},
}


@torch.inference_mode()
def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", default="RN50,ViT-B-16,compact")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    image = torch.randn(1, 3, args.size, args.size)
    rows = []
    for encoder in args.encoders.split(","):
        for name, options in VARIANTS.items():
            model = build_model("mcdrl", encoder=encoder, **options).eval()
            with FlopCounterMode(display=False) as counter:
                model(image)
            times = []
            for _ in range(args.repeats):
                start = time.process_time()
                model(image)
                times.append(time.process_time() - start)
            size = sum(p.numel() for p in model.parameters()) / 1e6
            flops = counter.get_total_flops() / 1e9
            rows.append((encoder, name, f"{size:.1f}", f"{flops:.2f}", f"{min(times) * 1e3:.0f}"))
            del model
            gc.collect()
    header = ("encoder", "model", "parameters (M)", "GFLOPs", "CPU time (ms)")
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
