"""Leave one domain out: train on all others, select on a hold-out of theirs, score once.

Within a fold every run is trained before any is scored, and only scoring opens the target's files.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from causalseg.data.datamodule import LViTDataModule
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.domains import DomainDataModule, DomainDataset, find_domains, pool
from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Split
from causalseg.data.preprocessing import Preprocessing
from causalseg.evaluation.files import read_result, read_result_rows
from causalseg.evaluation.metrics import EMPTY_RULE, confusion, dice_from_counts, iou_from_counts
from causalseg.experiments.grid import CHECKPOINT, Say, Task, as_json, run_grid, tasks_of
from causalseg.experiments.lodo_config import LodoConfig, lodo_cells, rows_of
from causalseg.experiments.lodo_scores import CellScores, FrameScore
from causalseg.experiments.lodo_table import LodoTable, lodo_markdown, tabulate_lodo
from causalseg.files import check_folder, write_bytes, write_csv, write_json
from causalseg.inference.maps import foreground
from causalseg.inference.segmenter import Segmenter

SCORES, DONE = "per_image.csv", "metrics.json"


def run_lodo(config: LodoConfig, say: Say = print) -> LodoTable:
    """Run the unfinished part of a grid, and write `results.json` and `table.md`.

    Args:
        config: what the grid is made of.
        say: called with a line about each step.

    Raises:
        InputError: domains, rows or folds cannot be used, or the folder holds runs made with
            other options.

    """
    study = LeaveOneOut(config)
    run_grid(study.tasks, study.out, study, say)
    return study.report()


class LeaveOneOut:
    """Pooled sources for training, decoded once per fold; the target for scoring, opened last."""

    done = DONE

    def __init__(self, config: LodoConfig) -> None:
        self.config, self.out = config, check_folder(Path(config.out))
        self.domains = find_domains(config.data.roots)
        self.rows = rows_of(config)
        self.tasks = tasks_of(lodo_cells(config, self.domains), config.seeds)
        self._sources = _Kept(self._read_sources)
        self._target = _Kept(self._read_target)

    def settings(self, task: Task) -> dict[str, Any]:
        """The run's config, the domains, and the row's prompt."""
        row, data = self.rows[task.cell.name], asdict(self.config.data)
        found = task.settings()
        del found["data"]
        return found | {
            "fold": task.cell.fold,
            "sources": {n: str(r) for n, r in self.domains.items() if n != task.cell.fold},
            "target": str(self.domains[task.cell.fold]),
            "domains": {key: value for key, value in data.items() if key != "domains"},
            "photometric": row.photometric,
            "prompt": None if row.captions else self.config.prompt,
            "select": self.config.select,
        }

    def training(self, task: Task) -> LViTDataModule:
        """Views of the sources with the run's seed and the row's options."""
        self._target.clear()
        row = self.rows[task.cell.name]
        views: dict[Split, SegmentationDataset] = {
            split: DomainDataset(
                dataset,
                seed=task.seed,
                text=None if row.captions else self.config.prompt,
                photometric=row.photometric and split == "train",
            )
            for split, dataset in self._sources(task.cell.fold).items()
        }
        return DomainDataModule(task.run(Path()).data, views)

    def score(self, task: Task, folder: Path) -> None:
        """Scores of each frame of the target, at the model's size."""
        self._sources.clear()  # they may fill the memory
        segmenter = Segmenter.load(folder / CHECKPOINT, device=self.config.device)
        frames = self._target(task.cell.fold)
        prompt = None if self.rows[task.cell.name].captions else self.config.prompt
        scores = score_frames(segmenter, frames, prompt, self.config.data.batch_size)
        write_csv(folder / SCORES, [score.fields() for score in scores])
        shown = [score.dice for score in scores if not score.empty]
        metrics = {
            "settings": as_json(self.settings(task)),
            "initial_weights": segmenter.provenance["initial_weights"],
            "selected": segmenter.provenance["selected"],
            "threshold": segmenter.threshold,
            "data": {
                "root": str(frames.manifest.root),
                "images": len(scores),
                "fingerprint": frames.manifest.fingerprint(),
            },
            "empty_rule": EMPTY_RULE,
            "dice": float(np.mean(shown)) if shown else None,
        }
        write_json(folder / DONE, metrics)

    def report(self) -> LodoTable:
        """Summarise finished runs and write the tables."""
        finished = [t for t in self.tasks if (t.folder(self.out) / DONE).exists()]
        scores = [
            CellScores(
                t.cell.fold,
                t.cell.name,
                t.seed,
                [FrameScore.from_fields(r) for r in read_result_rows(t.folder(self.out) / SCORES)],
            )
            for t in finished
        ]
        first = read_result(finished[0].folder(self.out) / DONE)
        weights = str(first["initial_weights"]["source"])
        table = tabulate_lodo(scores, self._pairs(), initial_weights=weights)
        write_json(self.out / "results.json", asdict(table))
        write_bytes(self.out / "table.md", lodo_markdown(table).encode())
        return table

    def _pairs(self) -> list[tuple[str, str]]:
        """Every row against the reference, and MCDRL's whole model against its parts."""
        rows = list(self.rows)
        base = self.config.reference or ("baseline" if "baseline" in rows else rows[0])
        pairs = [(row, base) for row in rows if row != base]
        if "full" in rows:
            pairs += [("full", row) for row in rows if row not in ("full", base)]
        return list(dict.fromkeys(pairs))

    def _read_sources(self, fold: str) -> dict[Split, SegmentationDataset]:
        data = self.config.data
        roots = [root for name, root in self.domains.items() if name != fold]
        limits: dict[Split, int | None] = {"train": data.train_limit, "val": data.val_limit}
        return {
            split: SegmentationDataset(
                pool(
                    roots,
                    "train" if split == "train" else "holdout",
                    data.sharing,
                    limit=limit,
                    seed=data.seed,
                    allow_problems=data.allow_problems,
                ),
                Preprocessing(size=data.size),
                augment=data.augment and split == "train",
            )
            for split, limit in limits.items()
        }

    def _read_target(self, fold: str) -> "Frames":
        data = self.config.data
        target = pool(
            [self.domains[fold]], "target", data.sharing, allow_problems=data.allow_problems
        )
        return Frames(target, Preprocessing(size=data.size))


_T = TypeVar("_T")


class _Kept(Generic[_T]):
    """What was read of one fold, kept until another is asked for."""

    def __init__(self, read: Callable[[str], _T]) -> None:
        self._read = read
        self._held: dict[str, _T] = {}

    def __call__(self, fold: str) -> _T:
        if fold not in self._held:
            self._held.clear()
            self._held[fold] = self._read(fold)
        return self._held[fold]

    def clear(self) -> None:
        self._held.clear()


class Frames:
    """The target's images and masks at the model's size."""

    def __init__(self, manifest: Manifest, preprocessing: Preprocessing) -> None:
        self.manifest = manifest
        self.images, self.masks, self.empty = [], [], []
        for record in manifest.records:
            mask = read_mask(record.mask)
            self.images.append(preprocessing.resize(read_image(record.image)))
            self.masks.append(preprocessing.resize_mask(mask))
            self.empty.append(not mask.any())


def score_frames(
    segmenter: Segmenter, frames: Frames, prompt: str | None, batch_size: int
) -> list[FrameScore]:
    """Score each frame.

    Args:
        segmenter: the trained model.
        frames: those of the target.
        prompt: for every frame, or None for each frame's caption.
        batch_size: frames at a time.

    """
    records = frames.manifest.records
    scores = []
    for start in range(0, len(records), batch_size):
        part = slice(start, start + batch_size)
        texts = [prompt if prompt is not None else r.caption for r in records[part]]
        found = foreground(segmenter.probabilities(frames.images[part], texts), segmenter.threshold)
        for record, mask, truth, empty in zip(
            records[part], found, frames.masks[part], frames.empty[part], strict=True
        ):
            counts = confusion(mask, truth)
            scores.append(
                FrameScore(
                    name=record.name,
                    subject=record.subject or "",
                    domain=record.domain,
                    empty=empty,
                    dice=float(dice_from_counts(counts.tp, counts.fp, counts.fn)),
                    iou=float(iou_from_counts(counts.tp, counts.fp, counts.fn)),
                    accuracy=(counts.tp + counts.tn) / truth.size,
                    **asdict(counts),
                )
            )
    return scores
