"""Write a comparison: comparison.json, per_image.csv of seed averages, and report.html."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from causalseg.evaluation.comparison import (
    Comparison,
    Method,
    few_subjects,
    method_interval,
    seed_spread,
)
from causalseg.evaluation.plots import forest
from causalseg.evaluation.report import Report
from causalseg.evaluation.statistics import Interval
from causalseg.files import Row, write_csv, write_json
from causalseg.version import __version__


def write_comparison(
    out: Path,
    methods: Sequence[Method],
    measures: Sequence[str],
    comparisons: Sequence[Comparison],
    *,
    resamples: int,
    seed: int,
) -> None:
    """Write the three files."""
    first = methods[0].runs[0]
    intervals = {
        measure: [method_interval(m, measure, resamples=resamples, seed=seed) for m in methods]
        for measure in measures
    }
    content = {
        "version": __version__,
        "images": len(first.names),
        "subjects": comparisons[0].difference.clusters,
        "fingerprint": first.fingerprint,
        "resamples": resamples,
        "seed": seed,
        "methods": {
            m.name: {
                "runs": [run.folder.name for run in m.runs],
                "means": {k: asdict(intervals[k][i]) for k in measures},
                "seed_standard_deviation": {k: seed_spread(m, k) for k in measures},
            }
            for i, m in enumerate(methods)
        },
        "comparisons": [asdict(c) for c in comparisons],
    }
    write_json(out / "comparison.json", content)
    write_csv(out / "per_image.csv", _rows(methods, measures))
    _report(methods, measures, comparisons, intervals, resamples).write(out / "report.html")


def _rows(methods: Sequence[Method], measures: Sequence[str]) -> list[Row]:
    first = methods[0].runs[0]
    columns = {f"{m.name} {k}": m.mean(k) for m in methods for k in measures}
    return [
        {"name": name, "subject": first.subjects[i] or ""}
        | {key: float(values[i]) for key, values in columns.items()}
        for i, name in enumerate(first.names)
    ]


def _report(
    methods: Sequence[Method],
    measures: Sequence[str],
    comparisons: Sequence[Comparison],
    intervals: Mapping[str, Sequence[Interval]],
    resamples: int,
) -> Report:
    first = comparisons[0]
    report = Report(
        f"Comparison of {', '.join(m.name for m in methods)}",
        first.claim
        if len(comparisons) == 1
        else f"{len(comparisons)} comparisons; the table says which differences may be claimed.",
    )
    report.heading("Means")
    rows = []
    for measure in measures:
        for method, interval in zip(methods, intervals[measure], strict=True):
            spread = seed_spread(method, measure)
            between = "one seed" if spread is None else f"{spread:.4f}"
            rows.append((method.name, measure, len(method.runs), str(interval), between))
    report.table(
        ("method", "measure", "seeds", "mean [95 % interval]", "standard deviation of seeds"),
        rows,
        "The interval says how the mean would vary with other patients, not with another "
        "training run; the last column says the latter.",
    )
    report.heading("What may be claimed")
    report.table(
        (
            "measure",
            "A",
            "B",
            "A - B [95 % over subjects]",
            "p",
            "p (Holm)",
            "95 % over training runs",
            "in words",
        ),
        [
            (
                c.measure,
                c.a,
                c.b,
                str(c.difference),
                c.p,
                c.p_holm,
                str(c.over_seeds or "one run per side"),
                c.claim,
            )
            for c in comparisons
        ],
        f"Seeds averaged per image; {first.difference.clusters} subjects drawn with replacement "
        f"{resamples} times; p by flipping the sign of whole subjects; Holm's correction over all "
        f"{len(comparisons)} comparisons. A difference may be claimed of the methods when the "
        "corrected p is under 0.05 and both intervals leave out 0: that over subjects, and that "
        "over training runs (Welch's t); with one run per side it is said of these runs only."
        + few_subjects(first.difference.clusters),
    )
    for measure in measures:
        shown = [c for c in comparisons if c.measure == measure]
        report.figure(
            forest([f"{c.a} - {c.b}" for c in shown], [c.difference for c in shown], measure),
            f"Difference in {measure} with its 95 % interval; the dashed line is no difference.",
        )
    _wins(report, methods, measures[0])
    return report


def _wins(report: Report, methods: Sequence[Method], measure: str) -> None:
    a, b = methods[0].mean(measure), methods[1].mean(measure)
    report.paragraph(
        f"By {measure}, {methods[0].name} is higher than {methods[1].name} on "
        f"{np.count_nonzero(a > b)} images, lower on {np.count_nonzero(a < b)}, equal on "
        f"{np.count_nonzero(a == b)}."
    )
