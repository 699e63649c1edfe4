"""Put the finished runs of a leaderboard, and entries of other people's masks, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.manifest import Manifest
from causalseg.errors import InputError
from causalseg.evaluation.comparison import (
    Comparison,
    Method,
    ScoredRun,
    align,
    compare_pairs,
    on_shared_seeds,
    read_run,
    seed_spread,
)
from causalseg.evaluation.files import read_result, read_result_rows
from causalseg.evaluation.set_metrics import DataSummary
from causalseg.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_codes,
    micro_dice,
    micro_iou,
)
from causalseg.experiments.leaderboard_table import (
    COST,
    DICE,
    IOU,
    MEASURES,
    NATIVE_COUNTS,
    PROBED,
    Budget,
    Cost,
    LeaderboardRow,
    LeaderboardTable,
    RowRuns,
)
from causalseg.training.environment import Environment


def entry_runs(name: str, folder: Path, whole: Manifest, scored: Manifest) -> RowRuns:
    """A row of masks that were made elsewhere and scored by `score` or `evaluate`.

    Args:
        name: what the row is called.
        folder: the score folder.
        whole: the split it must have been scored on.
        scored: the part of it that the table is about; the rest of the entry is left out.

    Raises:
        InputError: the folder holds no scores, or those of other images or of changed data.

    """
    run = read_run(folder, (DICE, IOU, *NATIVE_COUNTS))
    known = {manifest.fingerprint() for manifest in (whole, scored)}
    if run.fingerprint not in known:
        raise InputError(
            f"{folder} was scored on other data than {whole.root.name}'s {whole.split} split: "
            f"score the masks with 'causalseg score --data {whole.root} --split {whole.split}'."
        )
    place = {image: i for i, image in enumerate(run.names)}
    missing = [record.name for record in scored.records if record.name not in place]
    if missing:
        raise InputError(f"{folder} has no score of {missing[0]}: score the whole split.")
    order = [place[record.name] for record in scored.records]
    run = replace(
        run,
        names=tuple(run.names[i] for i in order),
        subjects=tuple(run.subjects[i] for i in order),
        columns={key: values[order] for key, values in run.columns.items()},
        fingerprint=scored.fingerprint(),
    )
    return RowRuns(name, {0: folder}, reads_text=None, entry=run)


def tabulate_leaderboard(
    rows: Sequence[RowRuns],
    references: Sequence[str],
    scored: Manifest,
    budget: Budget,
    *,
    machine: Environment,
    resamples: int = 10_000,
    runs_planned: int | None = None,
) -> LeaderboardTable:
    """Put finished runs side by side.

    Args:
        rows: in any order; those without a finished run are listed as such.
        references: names of rows that the others are compared with.
        scored: the images that all runs were scored on.
        budget: what the rows share.
        machine: what times were measured on.
        resamples: of bootstrap and test.
        runs_planned: how many runs there will be; by default as many as are finished.

    Raises:
        InputError: the runs were scored on other images or data, or none is finished.

    """
    keys = [(row.name, seed) for row in rows for seed in row.folders]
    if not keys:
        raise InputError("no run of the leaderboard is finished, so there is nothing to tabulate.")
    found = [
        row.entry or read_run(folder, (DICE, IOU, *NATIVE_COUNTS))
        for row in rows
        for folder in row.folders.values()
    ]
    runs = dict(zip(keys, align(found), strict=True))
    methods = {
        row.name: Method(row.name, tuple(runs[row.name, seed] for seed in row.folders))
        for row in rows
        if row.folders
    }
    compared = _compare(rows, references, runs, resamples)
    trained = sum(len(row.folders) for row in rows if row.entry is None)
    subjects = cluster_codes(found[0].subjects)
    return LeaderboardTable(
        data=DataSummary(
            root=scored.root.name,
            split=scored.split,
            fingerprint=scored.fingerprint(),
            images=len(scored),
            subjects=len(np.unique(subjects)),
        ),
        budget=budget,
        machine=machine,
        references=[name for name in references if name in methods],
        resamples=resamples,
        runs=trained,
        runs_planned=trained if runs_planned is None else runs_planned,
        rows=[_row(row, methods.get(row.name), compared, resamples) for row in rows],
    )


def _compare(
    rows: Sequence[RowRuns],
    references: Sequence[str],
    runs: Mapping[tuple[str, int], ScoredRun],
    resamples: int,
) -> list[Comparison]:
    """Each row against each reference once; a pair of references is one comparison."""
    pairs = [
        on_shared_seeds(runs, row.name, base)
        for i, base in enumerate(references)
        for row in rows
        if row.name not in references[: i + 1]
    ]
    known = [pair for pair in pairs if pair is not None]
    return compare_pairs(known, (DICE,), same_seeds=True, resamples=resamples)


def _row(
    row: RowRuns, method: Method | None, compared: Sequence[Comparison], resamples: int
) -> LeaderboardRow:
    if method is None:
        return LeaderboardRow(row.name, row.reads_text)
    clusters = cluster_codes(method.runs[0].subjects)
    counts = np.column_stack([method.mean(key) for key in NATIVE_COUNTS])
    folders = list(row.folders.values())
    trained = row.entry is None
    metrics = [read_result(f / "metrics.json") for f in folders] if trained else []
    return LeaderboardRow(
        name=row.name,
        reads_text=row.reads_text,
        seeds=list(row.folders) if trained else [],
        entry=not trained,
        cost=Cost(**read_result(folders[0] / COST)) if trained else None,
        dice=cluster_bootstrap(method.mean(DICE), clusters, resamples=resamples),
        iou=cluster_bootstrap(method.mean(IOU), clusters, resamples=resamples),
        micro_dice=cluster_bootstrap(counts, clusters, micro_dice, resamples=resamples),
        micro_iou=cluster_bootstrap(counts, clusters, micro_iou, resamples=resamples),
        seed_standard_deviation=seed_spread(method, DICE),
        dice_at_model_size=_mean_of(metrics, "model_size", "macro", "dice"),
        dice_with_other_text=_mean_of(metrics, "controls", "other_text"),
        probes=_probes([f / PROBED for f in folders if (f / PROBED).exists()], resamples),
        against={c.b: c for c in compared if c.a == row.name},
    )


def _mean_of(metrics: Sequence[Mapping[str, Any]], *path: str) -> float | None:
    """Mean over seeds of an estimate in metrics.json; None where it is in none."""
    values = []
    for found in metrics:
        value: Any = found
        for key in path:
            value = (value or {}).get(key)
        if value is not None:
            values.append(float(value["estimate"]))
    return float(np.mean(values)) if values else None


def _probes(paths: Sequence[Path], resamples: int) -> dict[str, Interval]:
    """Mean answer to each test over images, wordings and seeds, subjects resampled."""
    rows = [row for path in paths for row in read_result_rows(path)]
    found = {}
    for test, measure in MEASURES.items():
        kept = [row for row in rows if row["test"] == test and row[measure] != ""]
        if kept:
            clusters = cluster_codes([row["subject"] or row["name"] for row in kept])
            values = [float(row[measure]) for row in kept]
            found[test] = cluster_bootstrap(values, clusters, resamples=resamples)
    return found
