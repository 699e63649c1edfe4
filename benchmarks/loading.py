"""The share of a training step's time that is spent waiting for its data."""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks.once import training_step
from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.data.phantom import make_phantoms

BATCH = 8
BATCHES = 7
"""Whole batches of the 70 training phantoms, after a first one."""


def waiting(encoder: str, size: int = 224) -> dict[str, float]:
    """Seconds for a batch as `fit` loads it (decoded once, augmented, no workers) and for a step.

    Without workers the model waits for all of the loading, so the share is the largest there is.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = Path(folder) / "phantoms"
        make_phantoms(root, 100, 0, size)
        module = LViTDataModule(DataConfig(root=root, size=size, batch_size=BATCH))
        batches = iter(module.train_dataloader())
        next(batches)
        loads, steps = [], []
        step = training_step("fast", BATCH, encoder)
        step()
        for _ in range(BATCHES):
            start = time.perf_counter()
            next(batches)
            loads.append(time.perf_counter() - start)
        for _ in range(2):
            start = time.perf_counter()
            step()
            steps.append(time.perf_counter() - start)
    load, compute = statistics.median(loads), statistics.median(steps)
    return {
        "seconds_to_load_a_batch": load,
        "seconds_of_a_step": compute,
        "share_waiting": load / (load + compute),
    }
