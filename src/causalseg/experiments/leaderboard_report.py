"""A leaderboard's files: table.json, table.csv, table.md, cost.png and report.html."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import StrMethodFormatter
from matplotlib.transforms import Bbox

from causalseg.evaluation.report import Report
from causalseg.evaluation.statistics import Interval
from causalseg.experiments.leaderboard_table import MEASURES, LeaderboardRow, LeaderboardTable
from causalseg.experiments.leaderboard_words import (
    ACCURACY,
    CLAIMED,
    COSTS,
    TEXT,
    TITLES,
    accuracy_rows,
    claimed_rows,
    cost_rows,
    lead,
    leaderboard_markdown,
    notes,
    pair_rows,
    pairs_header,
    text_rows,
)
from causalseg.files import Row, write_bytes, write_csv, write_json

_PLACES = [(x, y) for y in (6, -6, 14, -14, 22, -22, 30, -30) for x in (5, -5)]
"""Of a name beside its point, in points, nearest first."""
_BLIND, _READS, _ENTRY = "#0072b2", "#d55e00", "#555555"


def cost_picture(table: LeaderboardTable) -> Figure:
    """Macro Dice with its interval against GFLOP, one point for each row that was trained here."""
    figure = Figure(figsize=(7.5, 4.6))
    axes = figure.add_subplot()
    points = []
    for row in table.finished:
        if row.cost is not None and row.dice is not None:
            dice, colour = row.dice, _READS if row.reads_text else _BLIND
            ends = [[dice.estimate - dice.low], [dice.high - dice.estimate]]
            axes.errorbar(row.cost.gflop, dice.estimate, ends, fmt="o", color=colour, lw=1, ms=5)
            points.append((row.name, row.cost.gflop, dice))
    for row in table.finished:
        if row.entry and row.dice is not None:
            axes.axhline(row.dice.estimate, color=_ENTRY, lw=1, ls="--")
            axes.annotate(
                _literal(row.name), (0.01, row.dice.estimate), (2, 2),
                xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8,
            )  # fmt: skip
    for colour, words in ((_READS, "reads the text"), (_BLIND, "reads no text")):
        axes.plot([], [], "o", color=colour, label=words)
    axes.set(xscale="log", xlabel="GFLOP of one image", ylabel="macro Dice")
    for write in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        write(StrMethodFormatter("{x:g}"))
    axes.margins(x=0.15)
    axes.tick_params(axis="x", which="both", labelsize=8)
    axes.legend(frameon=False, loc="lower right")
    FigureCanvasAgg(figure)  # measures text
    figure.draw_without_rendering()  # fixes the limits
    _name_points(axes, points)
    return figure


def _literal(name: str) -> str:
    """Two dollars are no formula."""
    return name.replace("$", r"\$")


def _name_points(axes: Axes, points: Sequence[tuple[str, float, Interval]]) -> None:
    """Write each name beside its point, where it covers the fewest points, names and bars."""
    taken, bars = [], []
    for _, x, dice in points:
        ends = [(x, dice.low), (x, dice.estimate), (x, dice.high)]
        low, point, high = axes.transData.transform(ends)
        taken.append(Bbox([point - 4, point + 4]))
        bars.append(Bbox([low, high]).padded(1))
    for name, x, dice in points:
        text = axes.annotate(
            _literal(name),
            (x, dice.estimate),
            _PLACES[0],
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        boxes = [_box(text, place) for place in _PLACES]
        covered = [(box.count_overlaps(taken), box.count_overlaps(bars)) for box in boxes]
        taken.append(_box(text, _PLACES[covered.index(min(covered))]))


def _box(text: Text, place: tuple[int, int]) -> Bbox:
    """Move a text beside its point; what it covers, in pixels."""
    text.set_position(place)
    text.set_horizontalalignment("left" if place[0] > 0 else "right")
    return text.get_window_extent()


def write_leaderboard(out: Path, table: LeaderboardTable) -> None:
    """Write the files into the leaderboard's folder."""
    write_json(out / "table.json", asdict(table))
    write_csv(out / "table.csv", [_flat(table, row) for row in table.rows])
    write_bytes(out / "table.md", leaderboard_markdown(table).encode())
    buffer = io.BytesIO()
    cost_picture(table).savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    write_bytes(out / "cost.png", buffer.getvalue())
    _report(table).write(out / "report.html")


def _report(table: LeaderboardTable) -> Report:
    report = Report(f"Leaderboard: {table.data.root}", lead(table))
    report.figure(
        cost_picture(table),
        "Higher is better, further left is cheaper; bars hold the 95 % interval by subject.",
    )
    report.table(ACCURACY, accuracy_rows(table))
    if table.references:
        report.heading(TITLES["pairs"])
        report.table(pairs_header(table), pair_rows(table))
    report.heading(TITLES["text"])
    report.table(TEXT, text_rows(table))
    report.heading(TITLES["costs"])
    report.table(COSTS, cost_rows(table))
    report.heading("How to read this")
    for note in notes(table):
        report.paragraph(note)
    if claimed := claimed_rows(table):
        report.heading(TITLES["claimed"])
        report.table(CLAIMED, claimed, "In percent, as printed; nothing of it was measured here.")
    return report


def _flat(table: LeaderboardTable, row: LeaderboardRow) -> Row:
    """One row of plain columns; empty where a row has no such value."""
    flat: dict[str, object] = {
        "system": row.name,
        "reads_text": row.reads_text,
        "entry": row.entry,
        "seeds": " ".join(map(str, row.seeds)),
        "seed_standard_deviation": row.seed_standard_deviation,
        "dice_at_model_size": row.dice_at_model_size,
        "dice_with_other_text": row.dice_with_other_text,
    }
    intervals: dict[str, Interval | None] = {
        "dice": row.dice, "iou": row.iou, "micro_dice": row.micro_dice, "micro_iou": row.micro_iou,
        **{test.replace(" ", "_"): row.probes.get(test) for test in MEASURES},
    }  # fmt: skip
    for reference in table.references:
        compared = row.against.get(reference)
        intervals[f"minus_{reference}"] = None if compared is None else compared.difference
        flat[f"p_holm_{reference}"] = None if compared is None else compared.p_holm
    for name, value in intervals.items():
        for end in ("estimate", "low", "high"):
            flat[name if end == "estimate" else f"{name}_{end}"] = value and getattr(value, end)
    costs = ("parameters", "gflop", "images_per_second", "training_seconds", "steps")
    flat |= {name: row.cost and getattr(row.cost, name) for name in costs}
    return {key: "" if value is None else value for key, value in flat.items()}
