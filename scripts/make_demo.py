"""Write docs/results/demo.md from a run of the demo; no number is typed.

python scripts/make_demo.py --collect demo    keep what the page needs of `make demo`'s folder
python scripts/make_demo.py                   write the page's block

Kept is docs/results/demo/demo.json: how the demo was run, its scores on the held-out phantoms, and
which of their opacities it selected (`phantom_zones.py`).
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from make_ablation import filled
from make_results import ROOT
from phantom_zones import measure
from results_tables import hardware, interval

from causalseg.evaluation.files import read_result
from causalseg.files import write_bytes, write_json
from causalseg.markdown import markdown_table

PAGE = ROOT / "docs" / "results" / "demo.md"
DATA = ROOT / "docs" / "results" / "demo" / "demo.json"


def collect(folder: Path) -> None:
    """Keep the figures of one run."""
    metrics = read_result(folder / "scores" / "metrics.json")
    controls = metrics["controls"]
    content = read_result(folder / "demo.json") | {
        "test_images": metrics["images"],
        "dice": metrics["native_size"]["macro"]["dice"],
        "iou": metrics["native_size"]["macro"]["iou"],
        "dice_of_caption_mean_mask": controls["caption_mean_mask"],
        "zones": asdict(measure(str(folder / "run" / "best.safetensors"))),
    }
    write_json(DATA, content)


def block(found: dict[str, Any]) -> str:
    """What the page says of the run."""
    edited, zones = found["edited"], found["zones"]
    rows = [
        (f"own text, all {found['test_images']} held-out phantoms", interval(found["dice"])),
        ("mean training mask of the same caption", interval(found["dice_of_caption_mean_mask"])),
        (
            f"own text, the {edited['images']} whose text names some of their opacities",
            f"{edited['own']:.3f}",
        ),
        ("text that names the others, against its own true mask", f"{edited['edited']:.3f}"),
        ("the same masks, against the first text's true mask", f"{edited['blind']:.3f}"),
    ]
    chosen = [(kind, f"{n} of {total}") for kind, (n, total) in zones["selected"].items()]
    return "\n\n".join(
        [
            f"{found['count']} phantoms at {found['size']} px, {found['epochs']} epochs, seed "
            f"{found['seed']}, {found['precision']}: {found['seconds'] / 60:.1f} minutes by the "
            f"clock, {found['cpu_seconds'] / 60:.1f} of the CPU, on "
            f"{hardware(found['environment'])}.",
            markdown_table(("", "macro Dice"), rows),
            markdown_table(("opacity", "more than half drawn"), chosen),
        ]
    )


def page() -> str:
    """The page as its file makes it."""
    return filled(PAGE.read_text(), "demo", block(read_result(DATA)))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collect", type=Path, metavar="DIR", help="folder of `causalseg demo`")
    if folder := parser.parse_args().collect:
        collect(folder)
    write_bytes(PAGE, page().encode())


if __name__ == "__main__":
    main()
