"""A leaderboard: every system trained on one budget, scored, probed and timed."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from causalseg.data.images import read_image
from causalseg.data.manifest import Manifest
from causalseg.evaluation.faithfulness.adapter import SegmenterAdapter
from causalseg.evaluation.faithfulness.suite import real_cases, run_suite
from causalseg.evaluation.files import read_result_rows
from causalseg.experiments.ablation import Ablation
from causalseg.experiments.grid import CHECKPOINT, Say, Task, run_grid
from causalseg.experiments.leaderboard_config import LeaderboardConfig
from causalseg.experiments.leaderboard_report import write_leaderboard
from causalseg.experiments.leaderboard_table import (
    COST,
    PROBED,
    PROBES,
    Budget,
    Cost,
    LeaderboardTable,
    RowRuns,
)
from causalseg.experiments.leaderboard_tabulate import entry_runs, tabulate_leaderboard
from causalseg.files import write_csv, write_json
from causalseg.inference.segmenter import Segmenter
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import load_checkpoint
from causalseg.models.cost import gflop
from causalseg.models.registry import model_class
from causalseg.training.environment import environment

TIMED, REPEATS = 8, 3
"""Images of a timed forward pass, and how often it is timed; the fastest counts."""


def run_leaderboard(config: LeaderboardConfig, say: Say = print) -> LeaderboardTable:
    """Run the unfinished part of a leaderboard; the tables are updated after each run.

    Args:
        config: what the leaderboard is made of.
        say: called with a line about each step.

    Raises:
        InputError: rows, data, options or entries cannot be used, or the folder holds runs made
            with other options.

    """
    study = Leaderboard(config)
    study.entries()  # a wrong folder is told before hours of training
    run_grid(study.tasks, study.out, study, say)
    return study.report()


class Leaderboard(Ablation):
    """The rows as cells of a grid."""

    config: LeaderboardConfig

    def settings(self, task: Task) -> dict[str, Any]:
        """The run's config and what scoring depends on."""
        return super().settings(task) | {"probe_limit": self.config.probe_limit}

    def entries(self) -> list[RowRuns]:
        """Rows of other people's masks."""
        return [
            entry_runs(name, Path(folder), self.whole, self.test)
            for name, folder in self.config.entries.items()
        ]

    def score(self, task: Task, folder: Path) -> None:
        """Scores, controls, answers to edited captions, costs, and a report."""
        segmenter = Segmenter.load(folder / CHECKPOINT, device=self.config.device)
        asked = real_cases(self.test.limit(self.config.probe_limit))
        answers = run_suite(SegmenterAdapter(segmenter), asked, tests=PROBES)
        if answers:
            write_csv(folder / PROBED, answers)
        model = load_checkpoint(folder / CHECKPOINT).model
        write_json(folder / COST, asdict(self._cost(segmenter, model, folder)))
        self.write_scores("leaderboard", task, folder, segmenter, model)

    def _cost(self, segmenter: Segmenter, model: SegmentationModel, folder: Path) -> Cost:
        size, caption = segmenter.preprocessing.size, self.test.records[0].caption
        epochs = read_result_rows(folder / "times.csv", ("step", "seconds", "cpu_seconds"))
        return Cost(
            parameters=model.inference_parameters(),
            gflop=gflop(model.eval(), size, segmenter.preprocessing.tokens([caption])),
            images_per_second=images_per_second(segmenter, self.test),
            training_seconds=sum(float(row["seconds"]) for row in epochs),
            training_cpu_seconds=sum(float(row["cpu_seconds"]) for row in epochs),
            steps=int(epochs[-1]["step"]),
            weights=str(segmenter.provenance["initial_weights"]["source"]),
        )

    def report(self) -> LeaderboardTable:  # type: ignore[override]
        """Write table.json, table.csv, table.md and report.html from the finished runs."""
        finished = [t for t in self.tasks if (t.folder(self.out) / self.done).exists()]
        rows = [
            RowRuns(
                cell.name,
                {t.seed: t.folder(self.out) for t in finished if t.cell is cell},
                reads_text=model_class(cell.run.architecture).reads_text,
            )
            for cell in self.plan.cells
        ]
        config = self.config
        budget = Budget(
            size=config.data.size,
            batch_size=config.data.batch_size,
            epochs=config.trainer.max_epochs,
            train_limit=config.data.train_limit,
            val_limit=config.data.val_limit,
            augment=config.data.augment,
            learning_rate=config.optimizer.lr,
            model_size=config.model.get("size", "paper"),
        )
        table = tabulate_leaderboard(
            [*rows, *self.entries()],
            config.references,
            self.test,
            budget,
            machine=environment(),
            resamples=config.resamples,
            runs_planned=len(self.tasks),
        )
        write_leaderboard(self.out, table)
        return table


@torch.inference_mode()
def images_per_second(segmenter: Segmenter, manifest: Manifest) -> float:
    """Speed of the model's forward pass, image and text, in one batch; the best of a few.

    Reading and resizing are left out, which all models share.
    """
    records = [manifest.records[i % len(manifest)] for i in range(TIMED)]
    preprocessing, device = segmenter.preprocessing, segmenter.device
    images = torch.stack([preprocessing.image(read_image(r.image)) for r in records]).to(device)
    tokens = preprocessing.tokens([r.caption for r in records]).to(device)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        logits = segmenter.model(images, tokens).logits
        float(logits.sum())  # waits for a GPU
        seconds.append(time.perf_counter() - start)
    return float(TIMED / np.min(seconds))
