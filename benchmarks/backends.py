"""The packaged model in every backend, its Dice beside its speed: docs/results/backends.{json,md}.

    python -m benchmarks.backends --data data/QaTa-COV19 --limit 480

Times are of the forward pass with image and text, all forms in turn in one process, two threads.
Dice is that of raw masks (without the presence check) on a random part of the validation split.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import measure
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Manifest
from causalseg.evaluation.metrics import dice
from causalseg.inference.backends import load_exported
from causalseg.inference.default import checkpoint_path
from causalseg.inference.export import export, paired_inputs
from causalseg.inference.maps import foreground
from causalseg.inference.optimise import optimise
from causalseg.inference.quantise import quantise
from causalseg.inference.segmenter import Segmenter
from causalseg.markdown import markdown_table
from causalseg.models.checkpoint import load_checkpoint

TEXT = "Unilateral pulmonary infection, one infected area, lower left lung."
REFERENCE = "PyTorch fp32, before packing"
Form = Callable[[Tensor, Tensor], Tensor]


def forms(segmenter: Segmenter, folder: Path, images: list[Any]) -> dict[str, Form]:
    """Every form by name; the first is what ratios refer to."""
    checkpoint = checkpoint_path("default")
    folded = load_checkpoint(checkpoint).model
    optimise(folded)
    onnx, openvino, int8 = (folder / name for name in ("m.onnx", "m.xml", "int8.onnx"))
    export(checkpoint, onnx, "onnx", images[:8], [TEXT])
    export(checkpoint, openvino, "openvino", images[:8], [TEXT])
    quantise(onnx, int8, *paired_inputs(segmenter.preprocessing, images, [TEXT]))
    models = {
        REFERENCE: folded,
        "PyTorch fp32, `Segmenter`": segmenter.model,
        "ONNX Runtime fp32": load_exported(onnx).model,
        "ONNX Runtime int8": load_exported(int8).model,
        "OpenVINO fp32": load_exported(openvino).model,
        "OpenVINO bf16": load_exported(openvino, precision="bf16").model,
    }
    found: dict[str, Form] = {
        name: lambda x, t, model=model: model(x, t).logits  # type: ignore[misc]
        for name, model in models.items()
    }
    return found | {"OpenVINO int8": _openvino_int8(int8)}


def _openvino_int8(path: Path) -> Form:
    from causalseg.inference.backends import load_runtime

    compiled = load_runtime("openvino").compile_model(path, "CPU")
    return lambda x, t: torch.from_numpy(
        compiled({"images": x.numpy(), "tokens": t.numpy()})[0].copy()
    )


@torch.inference_mode()
def score(segmenter: Segmenter, every: dict[str, Form], labelled: Manifest) -> dict[str, Any]:
    """Macro Dice of each form, and what it loses on the reference."""
    values: dict[str, list[float]] = {name: [] for name in every}
    for record in labelled.records:
        image = segmenter.preprocessing.image(read_image(record.image))[None]
        tokens = segmenter.preprocessing.tokens([record.caption])
        truth = segmenter.preprocessing.mask(read_mask(record.mask))[0].bool().numpy()
        for name, form in every.items():
            probability = form(image, tokens)[0, 0].float().sigmoid().numpy()
            values[name].append(dice(foreground(probability, segmenter.threshold), truth))
    base = np.array(values[REFERENCE])
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(base), (2000, len(base)))
    found = {}
    for name, each in values.items():
        lost = 100 * (base - np.array(each))
        low, high = np.percentile(lost[draws].mean(1), [2.5, 97.5])
        found[name] = {
            "dice": float(np.mean(each)), "points_lost": float(lost.mean()),
            "interval": [float(low), float(high)], "images": len(base),
        }  # fmt: skip
    return found


@torch.inference_mode()
def main() -> None:
    """Measure, and write the JSON and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    torch.set_num_threads(2)
    segmenter = Segmenter.load("default")
    val = read_lvit(options.data, "val", allow_problems=True).limit(options.limit, 0)
    images = [read_image(record.image) for record in val.records[:24]]
    with tempfile.TemporaryDirectory() as folder:
        every = forms(segmenter, Path(folder), images)
        data: dict[str, Any] = {"machine": measure.machine(), "side": segmenter.preprocessing.size}
        for batch in (1, 8):
            pixels = torch.stack([segmenter.preprocessing.image(i) for i in images[:batch]])
            tokens = segmenter.preprocessing.tokens([TEXT] * batch)
            calls = {name: partial(form, pixels, tokens) for name, form in every.items()}
            data[f"batch {batch}"] = measure.interleaved(calls, options.rounds)
            expected = every[REFERENCE](pixels, tokens)
            for name, form in every.items():
                change = float((form(pixels, tokens) - expected).abs().max())
                data[f"batch {batch}"][name]["logits_differ"] = change
        data["dice"] = score(segmenter, every, val)
    (options.out / "backends.json").write_text(json.dumps(data, indent=1))
    (options.out / "backends.md").write_text(table(data))


def table(data: dict[str, Any]) -> str:
    """The Markdown page."""
    rows = []
    for name, one in data["batch 1"].items():
        eight, dices = data["batch 8"][name], data["dice"][name]
        rows.append(
            (
                name,
                f"{1000 * one['cpu_seconds']['min']:.0f}",
                f"{one['cpu_ratio']['median']:.2f}",
                f"{1000 * eight['cpu_seconds']['min'] / 8:.0f}",
                f"{eight['cpu_ratio']['median']:.2f}",
                f"{one['logits_differ']:.1e}",
                f"{dices['dice']:.4f}",
                "{:+.2f} [{:+.2f}, {:+.2f}]".format(dices["points_lost"], *dices["interval"]),
            )
        )
    header = (
        "form",
        "CPU ms",
        "ratio",
        "CPU ms, batch 8",
        "ratio",
        "logits differ",
        "Dice",
        "lost",
    )
    machine = data["machine"]
    images = data["dice"][REFERENCE]["images"]
    return (
        "# The packaged model in every backend\n\n"
        "<!-- Written by python -m benchmarks.backends. -->\n\n"
        f"{data['side']} px, {machine['cpu']} ({machine['cpu_capability']}), "
        f"{machine['threads']} threads, load {machine['load_average'][0]:.0f} beside it, "
        f"{machine['time']}. CPU milliseconds an image (the least of all rounds); ratios are "
        f"medians of {data['batch 1'][REFERENCE]['rounds']} interleaved rounds to the first row. "
        f"Macro Dice of raw masks on {images} random validation images of QaTa-COV19, and points "
        "lost on the first row with a 95 % interval by image.\n\n" + markdown_table(header, rows)
    ).rstrip() + "\n"


if __name__ == "__main__":
    main()
