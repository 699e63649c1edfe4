"""An ablation: the cells of a grid on one data set, each scored, inspected and compared."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from causalseg.data.datamodule import LViTDataModule
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Manifest
from causalseg.evaluation.results import write_results
from causalseg.evaluation.running import evaluate, predict_record
from causalseg.evaluation.scoring import ScoringOptions
from causalseg.evaluation.summary import summarise, summarise_controls
from causalseg.experiments.ablation_report import write_ablation
from causalseg.experiments.ablation_table import AblationTable, CellRuns, tabulate_ablation
from causalseg.experiments.axes import AblationConfig, plan_grid
from causalseg.experiments.causal_masks import mask_sheet, measure_masks
from causalseg.experiments.grid import CHECKPOINT, Say, Task, parse_seeds, run_grid, tasks_of
from causalseg.files import check_folder, write_bytes, write_json
from causalseg.inference.outputs import png_bytes
from causalseg.inference.segmenter import Segmenter
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import load_checkpoint

SHEET, DONE = "masks.png", "report.html"
PICTURES = 3
"""Test images whose masks are drawn."""


def run_ablation(config: AblationConfig, say: Say = print) -> AblationTable:
    """Run the unfinished part of a grid; the tables are updated after each run.

    Args:
        config: what the grid is made of.
        say: called with a line about each step.

    Raises:
        InputError: axes, models, data or options cannot be used, or the folder holds runs made
            with other options.

    """
    study = Ablation(config)
    run_grid(study.tasks, study.out, study, say)
    return study.report()


class Ablation:
    """One data set for all cells; decoded images are kept while the cells that follow use them."""

    done = DONE

    def __init__(self, config: AblationConfig) -> None:
        self.config, self.plan, self.out = config, plan_grid(config), check_folder(Path(config.out))
        self.tasks = tasks_of(self.plan.cells, parse_seeds(config.seeds))
        self._training: LViTDataModule | None = None

    def settings(self, task: Task) -> dict[str, Any]:
        """The run's config and what scoring depends on."""
        own = ("split", "test_limit", "resamples")
        return task.settings() | {name: getattr(self.config, name) for name in own}

    def training(self, task: Task) -> LViTDataModule:
        """The training and validation split of the run's data."""
        wanted = task.run(Path()).data
        if self._training is None or self._training.config != wanted:
            self._training = LViTDataModule(wanted)
        return self._training

    @cached_property
    def whole(self) -> Manifest:
        """The split of which a slice is scored."""
        data = self.config.data
        return read_lvit(
            data.root,
            self.config.split,
            allow_problems=data.allow_problems,
            leaks=data.leaks,
            subject_pattern=data.subject_pattern,
        )

    @cached_property
    def test(self) -> Manifest:
        """What is scored: all of it, or a slice."""
        return self.whole.limit(self.config.test_limit)

    def score(self, task: Task, folder: Path) -> None:
        """Scores, text controls, causal masks where the model has any, and a report."""
        segmenter = Segmenter.load(folder / CHECKPOINT, device=self.config.device)
        masks = measure_masks(
            segmenter,
            self.test,
            batch_size=task.cell.run.data.batch_size,
            resamples=self.config.resamples,
        )
        if masks is not None:
            write_json(folder / "masks.json", asdict(masks))
            write_bytes(folder / SHEET, png_bytes(mask_sheet(segmenter, self.test, PICTURES)))
        model = load_checkpoint(folder / CHECKPOINT).model
        self.write_scores("ablate", task, folder, segmenter, model)

    def write_scores(
        self,
        command: str,
        task: Task,
        folder: Path,
        segmenter: Segmenter,
        model: SegmentationModel,
    ) -> None:
        """Score the run on `test` and write its results, `done` last.

        Args:
            command: that made the run.
            task: the run.
            folder: the run's folder.
            segmenter: with its checkpoint.
            model: the same as it was trained, whose parameters are counted.

        """
        options = ScoringOptions(size=segmenter.preprocessing.size, resamples=self.config.resamples)
        scores, text_controls = evaluate(
            segmenter, self.test, options, batch_size=task.cell.run.data.batch_size
        )
        controls = None
        if text_controls is not None:
            controls = summarise_controls(scores, None, text_controls)
        run = {
            "command": command,
            "cell": task.cell.name,
            "seed": task.seed,
            "threshold": segmenter.threshold,
            "parameters": sum(p.numel() for p in model.parameters()),
            "parameters_at_inference": model.inference_parameters(),
            "provenance": segmenter.provenance,
        }
        write_results(
            folder,
            f"{task.cell.name}, seed {task.seed}",
            self.test,
            scores,
            summarise(scores, self.test, run, controls),
            lambda record: predict_record(segmenter, record),
        )

    def report(self) -> AblationTable:
        """Write table.json, table.csv, table.md and report.html from the finished runs."""
        finished = [t for t in self.tasks if (t.folder(self.out) / DONE).exists()]
        cells = [
            CellRuns(
                cell.name,
                cell.values,
                {t.seed: t.folder(self.out) for t in finished if t.cell is cell},
            )
            for cell in self.plan.cells
        ]
        table = tabulate_ablation(
            cells,
            self.plan.reference.name,
            resamples=self.config.resamples,
            left_out=self.plan.left_out,
            runs_planned=len(self.tasks),
        )
        sheets = {c.name: f / SHEET for c in cells for f in list(c.folders.values())[:1]}
        write_ablation(self.out, table, {name: f for name, f in sheets.items() if f.exists()})
        return table
