"""The engine of every grid: a cell is a name and a complete run config; each is run once per seed.

Each run's folder records the settings it was made with, so a stopped grid can be continued by the
same command: finished runs are not repeated, a run stopped in training continues from the end of
its last epoch, and one stopped in scoring is scored.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol

from causalseg.data.datamodule import LViTDataModule
from causalseg.errors import InputError
from causalseg.evaluation.files import read_result
from causalseg.files import write_bytes, write_json
from causalseg.training.config import RunConfig
from causalseg.training.fit import fit

Say = Callable[[str], None]
CHECKPOINT, STAMP = "checkpoint.safetensors", "cell.json"


@dataclass(frozen=True)
class Cell:
    """One configuration; a run for each seed."""

    name: str
    """What tables call it, e.g. "masker=on, adversary=none"."""
    run: RunConfig
    """Complete but for seed and folder."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Option -> value on every axis of the grid."""
    fold: str = ""
    """The domain left out, where there is one."""
    epoch: Literal["best", "last"] = "best"
    """Which epoch is scored: the best on validation, or the last."""


@dataclass(frozen=True)
class Task:
    """One run of a cell, with its seed."""

    cell: Cell
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it is kept below the grid's folder."""
        name = re.sub(r"[^A-Za-z0-9.=+-]+", "_", self.cell.name)
        return out.joinpath("cells", *filter(None, [self.cell.fold]), name, f"seed{self.seed}")

    def run(self, work: Path) -> RunConfig:
        """The complete config; a run that was stopped continues from its last epoch."""
        run = self.cell.run
        data = replace(run.data, seed=self.seed)
        return replace(run, data=data, seed=self.seed, out=str(work), ckpt_path="last")

    def settings(self) -> dict[str, Any]:
        """The part of the config that decides a run's numbers, as plain data."""
        found = asdict(self.run(Path()))
        del found["out"], found["ckpt_path"], found["data"]["cache"]
        return found


class Experiment(Protocol):
    """What a kind of grid does with a run: its data, its scores."""

    done: str
    """Name of the file that scoring writes last into a run's folder."""

    def settings(self, task: Task) -> dict[str, Any]:
        """Everything that decides a run's numbers, as plain data."""

    def training(self, task: Task) -> LViTDataModule:
        """What a run is trained and validated on."""

    def score(self, task: Task, folder: Path) -> None:
        """Score the checkpoint in a run's folder, and write the results there."""

    def report(self) -> object:
        """Write the grid's tables from what is finished; called after each scored run."""


def tasks_of(cells: Sequence[Cell], seeds: Sequence[int]) -> list[Task]:
    """Every cell with every seed: fold by fold, and all cells of a seed before the next seed."""
    folds = dict.fromkeys(cell.fold for cell in cells)
    return [
        Task(cell, seed) for fold in folds for seed in seeds for cell in cells if cell.fold == fold
    ]


def run_grid(tasks: Sequence[Task], out: Path, study: Experiment, say: Say) -> None:
    """Run whatever is unfinished.

    Within a fold every run is trained before any is scored, so that nothing of the domain left
    out is opened before; without folds each run is scored as soon as it is trained.

    Args:
        tasks: see `tasks_of`.
        out: the grid's folder.
        study: see `Experiment`.
        say: called with a line about each step.

    Raises:
        InputError: the folder holds runs made with other options, or a run cannot be made.

    """
    for task in tasks:
        check_stamp(task.folder(out), study.settings(task))
    numbers = {task.folder(out): number for number, task in enumerate(tasks, 1)}
    for _, batch in groupby(tasks, key=lambda t: t.cell.fold or numbers[t.folder(out)]):
        todo = [task for task in batch if not (task.folder(out) / study.done).exists()]
        for task in todo:
            folder = task.folder(out)
            if not (folder / CHECKPOINT).exists():
                place = f"{task.cell.fold}: " if task.cell.fold else ""
                say(
                    f"run {numbers[folder]} of {len(tasks)}: {place}{task.cell.name}, "
                    f"seed {task.seed}"
                )
                _train(task, folder, study)
            shutil.rmtree(folder / "fit", ignore_errors=True)
        for task in todo:
            study.score(task, task.folder(out))
            study.report()


def _train(task: Task, folder: Path, study: Experiment) -> None:
    work = folder / "fit"
    _write_stamp(folder, study.settings(task))
    best = fit(task.run(work), study.training(task))
    for name in ("run.json", "metrics.csv", "times.csv"):
        write_bytes(folder / name, (work / name).read_bytes())
    os.replace(best.with_name(f"{task.cell.epoch}.safetensors"), folder / CHECKPOINT)


def as_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Paths and tuples as JSON has them."""
    found: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return found


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_stamp(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder whose run was begun with other settings.

    Raises:
        InputError: it was; the message names the settings that differ.

    """
    path = folder / STAMP
    if not path.exists():
        return
    found = read_result(path)
    if found.get("digest") != _digest(settings):
        before, now = _flat(found.get("settings", {})), _flat(as_json(settings))
        differ = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        raise InputError(
            f"{folder} holds a run with other options ({', '.join(differ[:5])}), or of an older "
            "version; name another folder with --out."
        )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    if not isinstance(content, dict):
        return {prefix: content}
    parts = (_flat(v, f"{prefix}.{k}" if prefix else str(k)) for k, v in content.items())
    return {key: value for part in parts for key, value in part.items()}


def _write_stamp(folder: Path, settings: Mapping[str, Any]) -> None:
    write_json(folder / STAMP, {"digest": _digest(settings), "settings": as_json(settings)})


def parse_seeds(given: str | Sequence[int]) -> list[int]:
    """Seeds as numbers.

    Raises:
        InputError: not numbers, none, or one twice.

    """
    try:
        seeds = [int(word) for word in (given.split(",") if isinstance(given, str) else given)]
    except ValueError:
        raise InputError(f"seeds must be numbers with commas between, not {given!r}.") from None
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError("seeds must name at least one, each once.")
    return seeds
