"""Paired comparison of scored runs: seeds averaged per image, subjects resampled, Holm corrected.

Every pair of methods and every measure is one comparison; Holm's correction runs over all of them.
A test over subjects knows nothing of training: two identical methods, three runs each, would often
be called different. So a difference is claimed of the methods only where an interval over their
training runs leaves out 0 too; otherwise it is one of these runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from causalseg.errors import InputError
from causalseg.evaluation.files import read_result, read_result_rows
from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import (
    Interval,
    PairedTest,
    cluster_bootstrap,
    cluster_codes,
    holm,
    paired_test,
    seed_interval,
    welch_interval,
)

LEVEL = 0.05
FEW_SUBJECTS = 40
_LOWER_IS_BETTER = ("hd95", "brier", "ece")


@dataclass(frozen=True)
class ScoredRun:
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
    runs: tuple[ScoredRun, ...]

    def mean(self, measure: str) -> FloatArray:
        """Per-image values (n,), averaged over seeds."""
        return np.asarray(np.mean([run.columns[measure] for run in self.runs], axis=0))

    def means(self, measure: str) -> list[float]:
        """Mean over images of each run."""
        return [float(run.columns[measure].mean()) for run in self.runs]


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
    over_seeds: Interval | None
    """Interval of A - B over training runs; None where a side has one run."""
    holds: bool
    """Whether it may be claimed of the methods, not only of these runs."""
    claim: str
    difference_by_seed: tuple[float, ...] = ()
    """Where the runs of both sides have the same seeds."""


def read_run(folder: Path, measures: Sequence[str]) -> ScoredRun:
    """Read metrics.json and per_image.csv of a score folder.

    Raises:
        InputError: a file or column is missing, a value is not a finite number, or a name repeats.

    """
    rows = read_result_rows(folder / "per_image.csv", ("name", "subject", *measures))
    data = read_result(folder / "metrics.json").get("data")
    fingerprint = data.get("fingerprint") if isinstance(data, dict) else None
    if fingerprint is not None and not isinstance(fingerprint, str):
        raise InputError(f"{folder / 'metrics.json'} is damaged: its fingerprint is not text.")
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
    return ScoredRun(
        folder, names, tuple(row["subject"] or None for row in rows), columns, fingerprint
    )


def align(runs: Sequence[ScoredRun]) -> list[ScoredRun]:
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
        aligned.append(ScoredRun(run.folder, first.names, first.subjects, columns, run.fingerprint))
    return aligned


def compare_methods(
    methods: Sequence[Method], measures: Sequence[str], *, resamples: int = 10_000, seed: int = 0
) -> list[Comparison]:
    """Test all pairs of methods on all measures; the methods' runs must be aligned."""
    pairs = list(combinations(methods, 2))
    return compare_pairs(pairs, measures, resamples=resamples, seed=seed)


def on_shared_seeds(
    runs: Mapping[tuple[str, int], ScoredRun], a: str, b: str
) -> tuple[Method, Method] | None:
    """Two methods with the runs whose seeds both have; None where they share none.

    Args:
        runs: by name of the method and seed, aligned.
        a: name of one side.
        b: name of the other.

    """
    seeds = [seed for name, seed in runs if name == a and (b, seed) in runs]
    if not seeds:
        return None
    ours, theirs = (Method(name, tuple(runs[name, seed] for seed in seeds)) for name in (a, b))
    return ours, theirs


def compare_pairs(
    pairs: Sequence[tuple[Method, Method]],
    measures: Sequence[str],
    *,
    same_seeds: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Test the given pairs on all measures, corrected together.

    Args:
        pairs: of methods whose runs are all aligned.
        measures: columns of the runs.
        same_seeds: the n-th runs of both sides have the same seed, so they are compared in pairs.
        resamples: of bootstrap and test.
        seed: of their draws.

    """
    clusters = cluster_codes(pairs[0][0].runs[0].subjects) if pairs else np.zeros(0, np.int64)
    keys = [(measure, a, b) for measure in measures for a, b in pairs]
    tests = [
        paired_test(a.mean(measure), b.mean(measure), clusters, resamples=resamples, seed=seed)
        for measure, a, b in keys
    ]
    adjusted = holm([test.p for test in tests])
    return [
        _compared(measure, a, b, test, p, same_seeds=same_seeds)
        for (measure, a, b), test, p in zip(keys, tests, adjusted, strict=True)
    ]


def _compared(
    measure: str, a: Method, b: Method, test: PairedTest, p_holm: float, *, same_seeds: bool
) -> Comparison:
    ours, theirs = a.means(measure), b.means(measure)
    by_seed = tuple(x - y for x, y in zip(ours, theirs, strict=True)) if same_seeds else ()
    over_seeds = seed_interval(by_seed) if same_seeds else welch_interval(ours, theirs)
    lower_is_better = measure.removeprefix("native_") in _LOWER_IS_BETTER
    holds, claim = what_may_be_claimed(
        a.name, b.name, test.difference, p_holm, over_seeds, lower_is_better=lower_is_better
    )
    return Comparison(
        measure=measure,
        a=a.name,
        b=b.name,
        mean_a=float(np.mean(ours)),
        mean_b=float(np.mean(theirs)),
        difference=test.difference,
        p=test.p,
        p_holm=p_holm,
        over_seeds=over_seeds,
        holds=holds,
        claim=claim,
        difference_by_seed=by_seed,
    )


def what_may_be_claimed(
    a: str,
    b: str,
    over_subjects: Interval,
    p_holm: float,
    over_seeds: Interval | None,
    *,
    lower_is_better: bool = False,
) -> tuple[bool, str]:
    """Judge a comparison, for a reader without statistics.

    Args:
        a: name of one side.
        b: name of the other.
        over_subjects: A - B with its interval over subjects.
        p_holm: its corrected p value.
        over_seeds: A - B with its interval over training runs; None where a side has only one.
        lower_is_better: whether smaller values of the measure are better.

    Returns:
        Whether it may be claimed of the methods, and the sentence.

    """
    spans_zero = over_subjects.low <= 0 <= over_subjects.high
    if p_holm >= LEVEL and not spans_zero:
        return False, (
            f"No difference may be claimed: on {over_subjects.clusters} subjects chance alone "
            f"could give as much (corrected p {p_holm:.2f})."
        )
    if spans_zero:
        return False, (
            f"No difference may be claimed: on {over_subjects.clusters} subjects anything from "
            f"{over_subjects.low:+.4f} to {over_subjects.high:+.4f} fits."
        )
    better, worse = (a, b) if (over_subjects.estimate > 0) != lower_is_better else (b, a)
    if over_seeds is None:
        return False, (
            f"On these runs {better} is better than {worse} on these images; one seed per side "
            "says nothing about the methods."
        )
    if over_seeds.low <= 0 <= over_seeds.high:
        return False, (
            f"On these runs {better} is better than {worse} on these images, but another training "
            f"run may turn it: over the seeds anything from {over_seeds.low:+.3f} to "
            f"{over_seeds.high:+.3f} fits."
        )
    return True, (
        f"{better} is better than {worse} on these images, for other patients and for other "
        "training runs alike."
    )


def method_interval(
    method: Method, measure: str, *, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of a method's seed-averaged values with its clustered interval."""
    clusters = cluster_codes(method.runs[0].subjects)
    return cluster_bootstrap(method.mean(measure), clusters, resamples=resamples, seed=seed)


def seed_spread(method: Method, measure: str) -> float | None:
    """Standard deviation of the seeds' means; None for one seed."""
    means = method.means(measure)
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def few_subjects(count: int) -> str:
    """What to add where there are too few subjects for the test to hold its level; else ""."""
    if count >= FEW_SUBJECTS:
        return ""
    return (
        f" With {count} subjects (fewer than {FEW_SUBJECTS}) and skewed differences the p values "
        "are somewhat too small and the intervals too narrow: take a result near 0.05 as open."
    )
