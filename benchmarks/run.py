"""Measure and write docs/results/benchmarks.json, .md and .svg: `python -m benchmarks.run`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks import measure, report
from benchmarks.loading import waiting
from benchmarks.once import training_step
from benchmarks.peers import peers, registered
from benchmarks.variants import Variant, compact, own, random_model, segmenter_model, tokens
from causalseg.inference.optimise import TextCache


def inference(options: argparse.Namespace) -> dict[str, Any]:
    """Every form and every peer, batch 1 and 8, with operations and difference of logits."""
    variants = own(options.encoder, compile=options.compile, exported=options.exported) + compact()
    others, missing = peers() if options.peers else ([], {})
    with torch.inference_mode():
        first = _inference(variants + others, 1, options.rounds, options.minutes * 60 / 5)
        if not options.batch8:
            return {"batch 1": first, "missing": missing}
        fewer = [v for v in variants if v.group != "exact" or "branch" not in v.name]
        eighth = _inference(fewer, 8, max(1, options.rounds // 3), options.minutes * 60 / 5)
    return {"batch 1": first, "batch 8": eighth, "missing": missing}


def _inference(variants: list[Variant], batch: int, rounds: int, seconds: float) -> dict[str, Any]:
    torch.manual_seed(1)
    images, text = torch.randn(batch, 3, 224, 224), tokens(batch)
    calls = {v.name: v.prepare(images, text) for v in variants}
    reference = calls[variants[0].name]()
    assert isinstance(reference, torch.Tensor)
    result = measure.interleaved(calls, rounds, seconds)
    for variant in variants:
        row = result[variant.name]
        row["group"] = variant.group
        try:
            row["gflop"] = measure.flops(calls[variant.name]) / batch
        except Exception:  # a compiled graph does not let itself be counted
            row["gflop"] = 0.0
        found = calls[variant.name]()
        if variant.group not in ("peer", "registry") and "compact" not in variant.name:
            assert isinstance(found, torch.Tensor)
            row["logit_difference"] = float((found.float() - reference).abs().max())
    result[variants[0].name]["logit_std"] = float(reference.std())
    return result


def models(options: argparse.Namespace) -> dict[str, Any]:
    """The thirteen peers of the registry beside CausalCLIPSeg, all at the paper's size."""
    found = {}
    for size in options.sizes:
        variants = registered(size)
        with torch.inference_mode():
            found[f"size {size}"] = _inference(
                variants, 1, options.rounds, options.minutes * 60 / 10
            )
    return found


def training(options: argparse.Namespace) -> dict[str, Any]:
    """A step of both branches, dense against reordered, and the difference of their gradients."""
    result: dict[str, Any] = dict(_gradient_difference(options.encoder))
    seconds = options.minutes * 60 / 4 / len(options.training_batches)
    for batch in options.training_batches:
        steps = {form: training_step(form, batch, options.encoder) for form in ("dense", "fast")}
        result[f"batch {batch}"] = measure.interleaved(steps, options.training_rounds, seconds)
    return result


def _gradient_difference(encoder: str) -> dict[str, float]:
    """Relative difference of the whole gradient, and of the worst parameter's, float32, eval mode.

    A parameter whose gradient nearly cancels has a large relative difference by rounding alone.
    """
    gradients = []
    torch.manual_seed(2)
    images, text = torch.randn(1, 3, 224, 224), tokens(1)
    weight = torch.randn(1, 1, 224, 224)
    for fast in (False, True):
        model = random_model(encoder, fast=fast)
        out = model(images, text, confounder=True)
        ((out.logits + out.confounder_logits) * weight).sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    pairs = list(zip(*gradients, strict=True))
    whole = sum(float((a - b).norm()) ** 2 for a, b in pairs) ** 0.5
    return {
        "gradient_difference": whole / sum(float(a.norm()) ** 2 for a, _ in pairs) ** 0.5,
        "worst_parameter_gradient_difference": max(
            float((a - b).norm() / a.norm()) for a, b in pairs if a.norm() > 0
        ),
    }


def memory(options: argparse.Namespace) -> dict[str, float]:
    """Peak resident GiB, a process each."""
    cases = [("train", form, 8) for form in ("dense", "fast", "checkpointed")]
    cases += [("infer", form, batch) for form in ("dense", "fast") for batch in (1, 8)]
    seconds = options.minutes * 60 / 5
    return {
        f"{kind} {form} {batch}": measure.peak_memory(
            kind, form, str(batch), options.encoder, seconds=seconds
        )
        for kind, form, batch in cases
    }


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """How the reordered form grows with the image's side, the batch, and the prompts."""
    model = segmenter_model(random_model(options.encoder))
    cache = TextCache(model)

    def call(side: int, batch: int, prompts: int) -> Callable[[], object]:
        images = torch.randn(batch, 3, side, side)
        text = tokens(max(batch, prompts))
        text[:, 2] += torch.arange(len(text))  # distinct texts
        return lambda: _segment(model, cache, images, text)

    rounds = max(1, options.rounds // 2)
    with torch.inference_mode():
        return {
            title: measure.interleaved(calls, rounds, options.minutes * 60 / 15)
            for title, calls in (
                ("side", {str(s): call(s, 1, 1) for s in (224, 448, 896)}),
                ("batch", {str(b): call(224, b, 1) for b in (1, 2, 4, 8, 16, 32)}),
                ("prompts", {str(p): call(224, 1, p) for p in (1, 4, 16, 64)}),
            )
        }


def _segment(
    model: nn.Module, cache: TextCache, images: torch.Tensor, text: torch.Tensor
) -> object:
    return model.segment(model.encode_image(images), cache(text)).logits  # type: ignore[operator]


def loading(options: argparse.Namespace) -> dict[str, float]:
    """How long a step waits for its data, for the large network and for the packaged model's."""
    return {
        f"{encoder}: {name}": value
        for encoder in (options.encoder, "compact")
        for name, value in waiting(encoder).items()
    }


SECTIONS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "memory": memory,
    "inference": inference,
    "models": models,
    "training": training,
    "growth": growth,
    "loading": loading,
}


def main() -> None:
    """Run the sections and write the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="results' folder")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="sections to measure")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of inference")
    parser.add_argument("--training-rounds", type=int, default=2)
    parser.add_argument("--training-batches", type=int, nargs="+", default=[8, 4])
    parser.add_argument("--minutes", type=float, default=20, help="rounds stop to keep about this")
    parser.add_argument("--encoder", default="RN101", help="tiny: a quick look at all sections")
    parser.add_argument("--sizes", nargs="+", default=["compact", "paper"], help="of the peers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="also torch.compile")
    parser.add_argument("--no-batch8", dest="batch8", action="store_false")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--no-exported", dest="exported", action="store_false")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    file = options.out / "benchmarks.json"
    data = json.loads(file.read_text()) if options.only and file.is_file() else {}
    for name in options.only or SECTIONS:
        print(f"measuring {name} ...", flush=True)
        data[name] = {"machine": measure.machine(), "result": SECTIONS[name](options)}
        options.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(data, indent=1))
    report.write(data, options.out)


if __name__ == "__main__":
    main()
