"""One step, for its peak memory: `python -m benchmarks.once train fast 8 RN101`."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable

import torch

from benchmarks.variants import random_model, segmenter_model, tokens
from causalseg import build_model


def training_step(
    form: str, batch: int, encoder: str = "RN101", side: int = 224
) -> Callable[[], float]:
    """A step of both branches with Adam; `form` is dense, fast or checkpointed."""
    torch.manual_seed(0)
    model = build_model(
        "causalclipseg",
        encoder=encoder,
        fast=form != "dense",
        gradient_checkpointing=form == "checkpointed",
    ).train()
    objective = model.objective()
    optimizer = torch.optim.Adam(model.parameters(), 3e-5)
    images, text = torch.randn(batch, 3, side, side), tokens(batch)
    text[:, 2] += torch.arange(batch)  # distinct captions, as a repeated one is encoded once
    target = {"mask": (torch.rand(batch, 1, side, side) > 0.8).float()}

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = objective(model(images, text), target)["loss"]
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    """Arguments: `train` or `infer`; `dense`, `fast` or `checkpointed`; the batch; the encoder."""
    kind, form, batch, encoder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(2)
    if kind == "train":
        step = training_step(form, batch, encoder)
        for _ in range(2):  # the optimiser's state exists from the second step on
            step()
    else:
        model = random_model(encoder, fast=form != "dense")
        if form == "fast":
            segmenter_model(model)
        with torch.inference_mode():
            model(torch.randn(batch, 3, 224, 224), tokens(batch), confounder=form == "dense")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"peak_gib": peak}))


if __name__ == "__main__":
    main()
