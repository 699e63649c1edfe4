"""Run an ablation grid, cell by cell, each run trained, scored and looked into once.

A run's folder holds `report.html`, written last, when the run is finished; it is never run again.
One that was stopped in training goes on from the end of its last epoch; one that was stopped in
scoring is scored.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Manifest
from causalseg.evaluation.ablation import CellRuns, tabulate
from causalseg.evaluation.ablation_report import write_ablation
from causalseg.evaluation.causal_masks import mask_sheet, measure_masks
from causalseg.evaluation.results import write_results
from causalseg.evaluation.running import evaluate, predict_record
from causalseg.evaluation.scoring import ScoringOptions
from causalseg.evaluation.summary import summarise, summarise_text_controls
from causalseg.files import check_folder, replacing, write_bytes, write_json
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import load_checkpoint
from causalseg.training.ablation_plan import AblationConfig, Cell, Plan, plan, run_config, settings
from causalseg.training.cells import check_stamp, write_stamp
from causalseg.training.fit import fit

Say = Callable[[str], None]
CHECKPOINT, SHEET, DONE = "checkpoint.safetensors", "masks.png", "report.html"
PICTURES = 3
"""Test images whose masks are drawn."""


def run(config: AblationConfig, say: Say = print) -> dict[str, Any]:
    """Run what is not finished of a grid; the tables are written anew after each run.

    Args:
        config: of the grid.
        say: is told what is being done.

    Returns:
        The table (see `evaluation.ablation.tabulate`).

    Raises:
        InputError: axes, data or options cannot be used, or the folder holds runs made with
            other options.

    """
    grid, out = plan(config), check_folder(Path(config.out))
    todo = [(seed, cell) for seed in config.seeds for cell in grid.cells]
    for seed, cell in todo:
        check_stamp(cell.folder(out, int(seed)), settings(config, cell, int(seed)))
    data = _SharedData()
    for number, (seed, cell) in enumerate(todo, 1):
        folder = cell.folder(out, int(seed))
        if not (folder / DONE).exists():
            say(f"run {number} of {len(todo)}: {cell.name}, seed {seed}")
            _run(config, cell, int(seed), folder, data)
            report(config, grid)
    return report(config, grid)


def report(config: AblationConfig, grid: Plan) -> dict[str, Any]:
    """Write table.json, table.csv, table.md and report.html from the finished runs."""
    out = Path(config.out)
    cells = []
    for cell in grid.cells:
        folders = {int(seed): cell.folder(out, int(seed)) for seed in config.seeds}
        done = {seed: f for seed, f in folders.items() if (f / DONE).exists()}
        cells.append(CellRuns(cell.name, cell.values, done))
    table = tabulate(cells, grid.reference.name, resamples=config.resamples)
    table["left_out"] = dict(grid.left_out)
    table["runs_planned"] = len(grid.cells) * len(config.seeds)
    sheets = {c.name: f / SHEET for c in cells for f in list(c.folders.values())[:1]}
    write_ablation(out, table, {name: f for name, f in sheets.items() if f.exists()})
    return table


class _SharedData:
    """The decoded images, kept as long as the cells that follow use the same."""

    def __init__(self) -> None:
        self._modules: list[LViTDataModule] = []
        self._test: Manifest | None = None

    def training(self, config: DataConfig) -> LViTDataModule:
        if not self._modules or self._modules[0].config != config:
            self._modules = [LViTDataModule(config)]
        return self._modules[0]

    def test(self, config: AblationConfig) -> Manifest:
        if self._test is None:
            data = config.data
            whole = read_lvit(data.root, "test", allow_problems=data.allow_problems)
            self._test = whole.limit(config.test_limit)
        return self._test


def _run(config: AblationConfig, cell: Cell, seed: int, folder: Path, data: _SharedData) -> None:
    work, checkpoint = folder / "fit", folder / CHECKPOINT
    write_stamp(folder, settings(config, cell, seed))
    if not checkpoint.exists():
        wanted = run_config(config, cell, seed, work)
        best = fit(wanted, data.training(wanted.data))
        for name in ("run.json", "metrics.csv"):
            write_bytes(folder / name, (work / name).read_bytes())
        os.replace(best, checkpoint)
    shutil.rmtree(work, ignore_errors=True)
    _score(config, cell, seed, folder, data.test(config))


def _score(config: AblationConfig, cell: Cell, seed: int, folder: Path, manifest: Manifest) -> None:
    model = load_checkpoint(folder / CHECKPOINT).model
    segmenter = Segmenter.load(folder / CHECKPOINT, device=config.device)
    options = ScoringOptions(size=segmenter.preprocessing.size, resamples=config.resamples)
    scores, text_controls = evaluate(
        segmenter, manifest, options, batch_size=config.data.batch_size
    )
    metrics = summarise(scores, manifest)
    if text_controls is not None:
        metrics["controls"] = summarise_text_controls(text_controls, scores)
    metrics["run"] = {
        "command": "ablate",
        "cell": cell.name,
        "seed": seed,
        "threshold": segmenter.threshold,
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_at_inference": model.inference_parameters(),
        "provenance": segmenter.provenance,
    }
    masks = measure_masks(
        segmenter, manifest, batch_size=config.data.batch_size, resamples=config.resamples
    )
    if masks is not None:
        write_json(folder / "masks.json", masks)
        _save(folder / SHEET, mask_sheet(segmenter, manifest, PICTURES))
    write_results(
        folder,
        f"{cell.name}, seed {seed}",
        manifest,
        scores,
        metrics,
        lambda record: predict_record(segmenter, record),
    )


def _save(path: Path, picture: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    with replacing(path) as part:
        Image.fromarray(picture).save(part, format="PNG", optimize=True)
