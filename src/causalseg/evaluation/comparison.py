"""Paired comparison of scored runs: seeds averaged per image, subjects resampled, Holm corrected.

Every pair of methods and every measure is one comparison; Holm's correction runs over all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from causalseg.errors import InputError
from causalseg.evaluation.files import read_csv, read_json
from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_codes,
    holm,
    paired_test,
)

LEVEL = 0.05
_LOWER_IS_BETTER = ("hd95", "brier", "ece")


@dataclass(frozen=True)
class Run:
    """One score folder."""

    folder: Path
    names: tuple[str, ...]
    subjects: tuple[str | None, ...]
    columns: dict[str, FloatArray]
    fingerprint: str | None


@dataclass(frozen=True)
class Method:
    """One side: the runs of its seeds."""

    name: str
    runs: tuple[Run, ...]

    def mean(self, measure: str) -> FloatArray:
        """Per-image values (n,), averaged over seeds."""
        return np.asarray(np.mean([run.columns[measure] for run in self.runs], axis=0))


@dataclass(frozen=True)
class Comparison:
    """A minus B on one measure."""

    measure: str
    a: str
    b: str
    mean_a: float
    mean_b: float
    difference: Interval
    p: float
    p_holm: float
    claim: str


def read_run(folder: Path, measures: Sequence[str]) -> Run:
    """Read metrics.json and per_image.csv of a score folder.

    Raises:
        InputError: a file or column is missing, a value is no finite number, or a name repeats.

    """
    rows = read_csv(folder / "per_image.csv", ("name", "subject", *measures))
    data = read_json(folder / "metrics.json").get("data")
    fingerprint = data.get("fingerprint") if isinstance(data, dict) else None
    if fingerprint is not None and not isinstance(fingerprint, str):
        raise InputError(f"{folder / 'metrics.json'} is damaged: its fingerprint is no text.")
    names = tuple(row["name"] for row in rows)
    if len(set(names)) < len(names):
        raise InputError(f"{folder / 'per_image.csv'} names an image twice.")
    columns = {}
    for measure in measures:
        try:
            values = np.array([float(row[measure]) for row in rows])
        except (TypeError, ValueError):
            values = np.array([np.nan])
        if not np.isfinite(values).all():
            raise InputError(f"{folder / 'per_image.csv'}: column {measure!r} is not all numbers.")
        columns[measure] = values
    return Run(folder, names, tuple(row["subject"] or None for row in rows), columns, fingerprint)


def align(runs: Sequence[Run]) -> list[Run]:
    """Bring all runs into the first one's order of images.

    Raises:
        InputError: the runs hold other images, or other versions of the data.

    """
    first, aligned = runs[0], []
    for run in runs:
        if set(run.names) != set(first.names):
            odd = sorted(set(run.names) ^ set(first.names))
            raise InputError(
                f"{run.folder} and {first.folder} do not score the same images ({len(odd)} differ, "
                f"e.g. {odd[0]}): score both on the same split."
            )
        if run.fingerprint and first.fingerprint and run.fingerprint != first.fingerprint:
            raise InputError(
                f"{run.folder} and {first.folder} were scored on other data (their fingerprints "
                "differ): an image, mask or caption was changed. Score both on the same files."
            )
        position = {name: i for i, name in enumerate(run.names)}
        order = [position[name] for name in first.names]
        columns = {key: values[order] for key, values in run.columns.items()}
        aligned.append(Run(run.folder, first.names, first.subjects, columns, run.fingerprint))
    return aligned


def compare(
    methods: Sequence[Method], measures: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> list[Comparison]:
    """Test all pairs of methods on all measures; the methods' runs must be aligned."""
    pairs = list(combinations(methods, 2))
    return compare_pairs(pairs, measures, resamples=resamples, seed=seed)


def compare_pairs(
    pairs: Sequence[tuple[Method, Method]],
    measures: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Test the given pairs on all measures, corrected together; all runs must be aligned."""
    clusters = cluster_codes(pairs[0][0].runs[0].subjects) if pairs else np.zeros(0, np.int64)
    tests = []
    for measure in measures:
        for a, b in pairs:
            ours, theirs = a.mean(measure), b.mean(measure)
            test = paired_test(ours, theirs, clusters, resamples=resamples, seed=seed)
            tests.append((measure, a, b, float(ours.mean()), float(theirs.mean()), test))
    adjusted = holm([test.p for *_, test in tests])
    return [
        Comparison(
            measure,
            a.name,
            b.name,
            ours,
            theirs,
            test.difference,
            test.p,
            p,
            claim_in_words(measure, a, b, test.difference, p),
        )
        for (measure, a, b, ours, theirs, test), p in zip(tests, adjusted, strict=True)
    ]


def claim_in_words(measure: str, a: Method, b: Method, difference: Interval, p: float) -> str:
    """What may be said about a comparison, for a reader without statistics."""
    excludes_zero = difference.low > 0 or difference.high < 0
    if p >= LEVEL or not excludes_zero:
        return (
            f"No difference may be claimed: on {difference.clusters} subjects anything from "
            f"{difference.low:+.4f} to {difference.high:+.4f} fits."
        )
    lower_is_better = measure.removeprefix("native_") in _LOWER_IS_BETTER
    better, worse = (a, b) if (difference.estimate > 0) != lower_is_better else (b, a)
    seeds = min(len(a.runs), len(b.runs))
    scope = (
        "these two checkpoints; one seed a side says nothing about the methods"
        if seeds == 1
        else f"the mean of {len(a.runs)} and {len(b.runs)} training seeds"
    )
    return f"{better.name} is better than {worse.name} on this test set. It holds for {scope}."


def method_interval(
    method: Method, measure: str, *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of a method's seed-averaged values with its clustered interval."""
    clusters = cluster_codes(method.runs[0].subjects)
    return cluster_bootstrap(method.mean(measure), clusters, resamples=resamples, seed=seed)


def seed_spread(method: Method, measure: str) -> float | None:
    """Standard deviation of the seeds' means; None for one seed."""
    means = [float(run.columns[measure].mean()) for run in method.runs]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None
