"""The faithfulness page: what was asked, how the mask answered, and pictures of both."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from causalseg.evaluation.faithfulness.adapter import TextSegmenter
from causalseg.evaluation.faithfulness.measures import MEASURE_WORDS, TestResult
from causalseg.evaluation.faithfulness.probes import Case
from causalseg.evaluation.faithfulness.suite import CaseAnswer, Cases, ask_again
from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.plots import case_picture, forest
from causalseg.evaluation.predictions import Prediction
from causalseg.evaluation.report import CaptionedPicture, Report
from causalseg.evaluation.scoring import column
from causalseg.files import Row

_FOLLOWS, _IGNORES = 0.8, 0.2


def faithfulness_report(
    title: str,
    model: TextSegmenter,
    cases: Cases,
    rows: Sequence[Row],
    tests: Mapping[str, TestResult],
    *,
    seed: int,
) -> Report:
    """Build the page; the examples are put to the model again."""
    report = Report(
        title,
        f"{len(cases)} images were segmented again and again with edited captions. This page "
        "shows whether the mask follows the words.",
    )
    report.paragraph(
        "'Left' is the viewer's left. Brackets hold 95 % intervals by subject. A test without a "
        "perfect value has no right mask on real images: it only shows how much the text matters. "
        "In the pictures orange is the predicted mask and green the true one, where it is known."
    )
    report.table(
        ("test", "measure", "result", "perfect", "text ignored", "images", "in words"),
        [line(name, test) for name, test in tests.items()],
        "In words: the result's place between a model that ignores the text (0) and a perfect one "
        f"(1); from {_FOLLOWS:g} on it follows, up to {_IGNORES:g} it hardly follows.",
    )
    shown = {
        f"{name}: {test.measure.replace('_', ' ')}": test.headline
        for name, test in tests.items()
        if test.headline is not None
    }
    report.figure(
        forest(list(shown), list(shown.values()), "result"),
        "All headline measures with their intervals.",
    )
    _correctness(report, tests)
    for name, test in tests.items():
        mine = [row for row in rows if row["test"] == name]
        _test_section(report, name, test, mine, model, cases, seed)
    return report


def line(name: str, test: TestResult) -> tuple[str, ...]:
    """A test's row: test, measure, result, perfect, text ignored, images, in words."""
    found, perfect, blind = test.headline, test.perfect, test.blind
    return (
        name,
        MEASURE_WORDS[test.measure],
        "undefined: no mask before the edit" if found is None else str(found),
        "-" if perfect is None else f"{perfect:g}",
        "-" if blind is None else f"{blind:g}",
        str(test.images),
        "-" if found is None else verdict(found.estimate, perfect, blind),
    )


def verdict(value: float, perfect: float | None, blind: float | None) -> str:
    """A result in words; "-" where the test does not tell following from ignoring."""
    if perfect is None or blind is None or perfect == blind:
        return "-"
    place = (value - blind) / (perfect - blind)
    if place >= _FOLLOWS:
        return "follows the text"
    return "hardly follows" if place <= _IGNORES else "follows in part"


def _correctness(report: Report, tests: Mapping[str, TestResult]) -> None:
    rows = [
        (
            name,
            str(test.measures["correct"]),
            str(test.measures["correct_if_ignored"]),
        )
        for name, test in tests.items()
        if "correct" in test.measures
    ]
    if rows:
        report.heading("Is the new mask right?")
        report.table(
            ("test", "Dice with the edited caption's true mask", "the same, had it not changed"),
            rows,
            "Known for phantoms only, whose content is drawn.",
        )


def _test_section(
    report: Report,
    name: str,
    test: TestResult,
    rows: Sequence[Row],
    model: TextSegmenter,
    cases: Cases,
    seed: int,
) -> None:
    report.heading(name[0].upper() + name[1:])
    report.paragraph(test.question)
    report.table(
        ("measure", "mean", "answers"),
        [(m.words, str(m), m.answers) for m in test.measures.values()],
    )
    key = test.measure
    rows = [row for row in rows if row[key] != ""]
    if not rows:
        report.paragraph("The masks were empty before the edit, so nothing could change.")
        return
    values = column(rows, key)
    report.figure(_spread(values, test), f"{test.measures[key].words}: every answer.")
    order = np.argsort(values, kind="stable")
    picks = {"Lowest": order[0], "Median": order[len(order) // 2], "Highest": order[-1]}
    for words, index in picks.items():
        row = rows[int(index)]
        case, answer = ask_again(model, cases, row, seed)
        report.paragraph(f"{words}: {row[key]:.3f} ({row['name']})")
        report.pictures(_pair(case, answer))


def _pair(case: Case, answer: CaseAnswer) -> list[CaptionedPicture]:
    image, shape = case.image, case.image.shape[:2]
    before, after = (Prediction(mask).at(shape).mask for mask in (answer.before, answer.after))
    edited = None if answer.edited_truth is None else Prediction(answer.edited_truth).at(shape).mask
    shown, words = image, f"After: {answer.probe.edited or '(no text)'}"
    if answer.probe.mirrored:
        shown, after = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(after[:, ::-1])
        words = f"Mirrored. {words}"
    pictures = [(image, "Image"), (case_picture(image, case.truth, before), case.caption)]
    if answer.probe.edited != case.caption or answer.probe.mirrored:
        pictures[1] = (pictures[1][0], f"Before: {case.caption}")
        pictures.append((case_picture(shown, edited, after), words))
    return pictures


def _spread(values: FloatArray, test: TestResult) -> Figure:
    figure = Figure(figsize=(6, 2.4))
    axes = figure.add_subplot()
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    axes.hist(values, bins=list(np.linspace(low, high, 26)), color="#56b4e9", edgecolor="white")
    axes.axvline(float(values.mean()), color="#0072b2", label="mean")
    if test.perfect is not None:
        axes.axvline(test.perfect, color="#009e73", ls="--", label="perfect")
    if test.blind is not None:
        axes.axvline(test.blind, color="#d55e00", ls=":", label="text ignored")
    axes.set(xlabel=test.measure.replace("_", " "), ylabel="answers")
    axes.legend(frameon=False)
    return figure
