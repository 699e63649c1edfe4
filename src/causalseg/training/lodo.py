"""Leave one domain out: train on all others, select on a hold-out of theirs, score once.

Within a fold every run is trained before any is scored, and only scoring opens the target's files.
A run's folder has `metrics.json` when it is finished; it is then never run again. A run that was
stopped in training starts anew; one that was stopped in scoring is scored.
"""

import gc
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.datamodule import DataConfig
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.domains import DomainDataModule, DomainDataset, find_domains, pool
from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Split
from causalseg.data.preprocessing import Preprocessing
from causalseg.evaluation.domains import CellScores, markdown, summarise
from causalseg.evaluation.files import read_csv, read_json
from causalseg.evaluation.metrics import EMPTY_RULE, confusion, dice_from_counts, iou_from_counts
from causalseg.files import write_bytes, write_csv, write_json
from causalseg.inference.maps import foreground
from causalseg.inference.segmenter import Segmenter
from causalseg.training.cells import check_stamp, plain, write_stamp
from causalseg.training.config import RunConfig
from causalseg.training.fit import fit
from causalseg.training.lodo_plan import (
    ROWS,
    Cell,
    LodoConfig,
    model_options,
    plan,
    settings,
)

Say = Callable[[str], None]
CHECKPOINT, SCORES, DONE = "checkpoint.safetensors", "per_image.csv", "metrics.json"


def run(config: LodoConfig, say: Say = print) -> dict[str, Any]:
    """Run what is not finished of a grid, then write `results.json` and `table.md`.

    Args:
        config: of the grid.
        say: is told what is being done.

    Returns:
        The summary (see `evaluation.domains.summarise`).

    Raises:
        InputError: domains, rows or folds cannot be used, or the folder holds runs made with
            other options.

    """
    domains = find_domains(config.data.roots)
    folds = plan(config, domains)
    out = Path(config.out)
    for cell in (cell for cells in folds.values() for cell in cells):
        check_stamp(cell.folder(out), settings(config, cell, domains))
    for fold, cells in folds.items():
        _run_fold(config, fold, cells, domains, say)
    return report(out, [cell for cells in folds.values() for cell in cells])


def report(out: Path, cells: Iterable[Cell]) -> dict[str, Any]:
    """Summarise finished cells and write the tables."""
    found = list(cells)
    scores = [
        CellScores(c.fold, c.row, c.seed, read_csv(c.folder(out) / SCORES))
        for c in found
        if (c.folder(out) / DONE).exists()
    ]
    rows = list(dict.fromkeys(cell.row for cell in found))
    pairs = [(row, "baseline") for row in rows if row != "baseline"]
    pairs += [("full", row) for row in rows if row not in ("full", "baseline")]
    summary = summarise(scores, [pair for pair in pairs if set(pair) <= set(rows)])
    first = read_json(found[0].folder(out) / DONE)
    summary["initial_weights"] = first["initial_weights"]
    write_json(out / "results.json", summary)
    start = f"Initial weights: {first['initial_weights']['source']}."
    write_bytes(out / "table.md", f"{start}\n\n{markdown(summary)}".encode())
    return summary


def _run_fold(
    config: LodoConfig, fold: str, cells: Sequence[Cell], domains: Mapping[str, Path], say: Say
) -> None:
    out = Path(config.out)
    sources = {name: root for name, root in domains.items() if name != fold}
    to_fit = [cell for cell in cells if not (cell.folder(out) / CHECKPOINT).exists()]
    if to_fit:
        datasets = source_datasets(config, list(sources.values()))
        for cell in to_fit:
            say(f"fit {cell.fold} / {cell.row} / seed {cell.seed}")
            _fit(config, cell, datasets, settings(config, cell, domains))
        del datasets
        gc.collect()
    to_score = [cell for cell in cells if not (cell.folder(out) / DONE).exists()]
    if to_score:
        target = pool(
            [domains[fold]],
            "target",
            config.data.sharing,
            allow_problems=config.data.allow_problems,
        )
        frames = Frames(target, Preprocessing(size=config.data.size))
        for cell in to_score:
            say(f"score {cell.fold} / {cell.row} / seed {cell.seed}")
            _score(config, cell, frames, settings(config, cell, domains))


def source_datasets(config: LodoConfig, roots: Sequence[Path]) -> dict[Split, SegmentationDataset]:
    """Training and hold-out records of the source domains, decoded."""
    data = config.data
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


def _fit(
    config: LodoConfig,
    cell: Cell,
    datasets: Mapping[Split, SegmentationDataset],
    chosen: Mapping[str, Any],
) -> None:
    row, folder = ROWS[cell.row], cell.folder(Path(config.out))
    write_stamp(folder, chosen)
    work = folder / "fit"
    if work.exists():  # a fit that was stopped
        shutil.rmtree(work)
    data = config.data
    views: dict[Split, SegmentationDataset] = {
        split: DomainDataset(
            dataset,
            seed=cell.seed,
            text=None if row.captions else config.prompt,
            photometric=row.photometric and split == "train",
        )
        for split, dataset in datasets.items()
    }
    data_config = DataConfig(
        root=", ".join(chosen["sources"]),
        size=data.size,
        batch_size=data.batch_size,
        augment=data.augment,
        seed=cell.seed,
        train_limit=data.train_limit,
        val_limit=data.val_limit,
    )
    best = fit(
        RunConfig(
            data=data_config,
            architecture=row.architecture,
            model=model_options(config, row),
            optimizer=config.optimizer,
            trainer=replace(config.trainer),
            out=str(work),
            seed=cell.seed,
        ),
        DomainDataModule(data_config, views),
    )
    for name in ("run.json", "metrics.csv"):
        os.replace(work / name, folder / name)
    chosen_epoch = best if config.select == "holdout" else best.with_name("last.safetensors")
    os.replace(chosen_epoch, folder / CHECKPOINT)
    shutil.rmtree(work)


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
) -> list[dict[str, Any]]:
    """A row of scores for each frame, at the model's size.

    Args:
        segmenter: the trained model.
        frames: of the target.
        prompt: for every frame, or None for each frame's caption.
        batch_size: frames at a time.

    """
    records = frames.manifest.records
    rows: list[dict[str, Any]] = []
    for start in range(0, len(records), batch_size):
        part = slice(start, start + batch_size)
        texts = [prompt if prompt is not None else r.caption for r in records[part]]
        found = foreground(segmenter.probabilities(frames.images[part], texts), segmenter.threshold)
        for record, mask, truth, empty in zip(
            records[part], found, frames.masks[part], frames.empty[part], strict=True
        ):
            counts = confusion(mask, truth)
            rows.append(
                {
                    "name": record.name,
                    "subject": record.subject or "",
                    "domain": record.domain,
                    "empty": int(empty),
                    "dice": float(dice_from_counts(counts.tp, counts.fp, counts.fn)),
                    "iou": float(iou_from_counts(counts.tp, counts.fp, counts.fn)),
                    "accuracy": (counts.tp + counts.tn) / truth.size,
                    **asdict(counts),
                }
            )
    return rows


def _score(config: LodoConfig, cell: Cell, frames: Frames, chosen: Mapping[str, Any]) -> None:
    folder = cell.folder(Path(config.out))
    segmenter = Segmenter.load(folder / CHECKPOINT, device=config.device)
    rows = score_frames(segmenter, frames, chosen["prompt"], config.data.batch_size)
    write_csv(folder / SCORES, rows)
    shown = [row["dice"] for row in rows if not row["empty"]]
    metrics = {
        "settings": plain(chosen),
        "initial_weights": segmenter.provenance["initial_weights"],
        "selected": segmenter.provenance["selected"],
        "threshold": segmenter.threshold,
        "data": {
            "root": str(frames.manifest.root),
            "images": len(rows),
            "fingerprint": frames.manifest.fingerprint(),
        },
        "empty_rule": EMPTY_RULE,
        "dice": float(np.mean(shown)) if shown else None,
    }
    write_json(folder / DONE, metrics)
