"""A planted-confounder grid in words: table.json, table.md and report.html."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from causalseg.evaluation.report import Report
from causalseg.evaluation.statistics import seed_interval
from causalseg.experiments.confound_table import ConfoundCell, ConfoundTable
from causalseg.files import write_bytes, write_json
from causalseg.markdown import markdown_table

CONFOUND_HEADER = (
    "row", "seeds", "same", "removed", "independent", "reversed", "drop [95 %]",
    "reversed minus plain [95 %]", "p (Holm)", "same minus plain",
)  # fmt: skip
MEASURE_HEADER = (
    "row", "mask that moves with the plant", "mask pixels on the plant",
    "Dice in conflict", "the same, answer named in the text",
    "lift of 1 - M on the plant, by stage",
)  # fmt: skip


def confound_rows(cells: Sequence[ConfoundCell]) -> list[list[str]]:
    """Rows of text under `CONFOUND_HEADER`: means over seeds, t intervals over seeds."""
    rows = []
    for cell in cells:
        tests = [_mean(cell.tests[t]) for t in ("same", "removed", "independent", "reversed")]
        repair = cell.repair
        compared = ["reference" if cell.row == "plain" else "", "", ""]
        if repair is not None:
            compared = [
                _over_seeds(repair.by_seed, "+.3f"),
                f"{repair.p_holm:.4f}",
                _mean(repair.same_by_seed, "+.3f"),
            ]
        drop = _over_seeds(cell.drop, "+.3f")
        rows.append([cell.row, str(len(cell.seeds)), *tests, drop, *compared])
    return rows


def measure_rows(cells: Sequence[ConfoundCell]) -> list[list[str]]:
    """Rows of text under `MEASURE_HEADER`: means over seeds."""
    rows = []
    for cell in cells:
        found = cell.measures
        lifts = [n for n in found if n.startswith("lift_")]
        rows.append(
            [
                cell.row,
                *(_mean(found[n]) for n in ("moved", "on_plant", "conflict")),
                _mean(found["named"]) if "named" in found else "",
                "; ".join(f"{n[5:]}: {_mean(found[n], '.2f')}" for n in lifts),
            ]
        )
    return rows


READING = (
    "Macro Dice at the model's size. Each test image is scored with its plant in agreement, "
    "removed and in conflict; same, independent and reversed weigh agreement and conflict with "
    "p and 1 - p, one half each, 1 - p and p. The drop is same minus reversed.",
    "Means over training runs; brackets are Student's t intervals over them, which say what "
    "other runs would give. p is of a sign-flip test over subjects, with Holm's correction "
    "over all rows and strengths; better is said only where both leave out 0.",
    "Mask that moves: 1 - Dice between the masks of one image with the plant here and there. "
    "Lift: the share of the mass of 1 - M that lies on the plant, over the plant's share of "
    "the area; 1 is a map that does not know the plant. It must not be read alone: a map may "
    "lie on the plant and the answer still follow it.",
)
"""What a reader must know to read the tables."""


def _planted(table: ConfoundTable) -> str:
    return (
        f"Plant: {table.plant}, which tells the {table.predicts}. {table.runs} of "
        f"{table.runs_planned} runs are finished; {table.images} test images for each data seed."
    )


def confound_markdown(table: ConfoundTable) -> str:
    """The tables of every strength, the claims and how they are read."""
    return "\n\n".join([confound_tables(table), *READING]) + "\n"


def confound_tables(table: ConfoundTable) -> str:
    """The tables of every strength and the claims, without `READING`."""
    lines: list[str] = []
    for strength, cells in by_strength(table).items():
        lines += [
            f"**Strength p = {strength:g}**",
            "",
            markdown_table(CONFOUND_HEADER, confound_rows(cells)),
        ]
        lines += ["", markdown_table(MEASURE_HEADER, measure_rows(cells)), ""]
        lines += [f"- {c.row}: {c.repair.claim}" for c in cells if c.repair]
        lines.append("")
    return "\n".join([*lines, _planted(table)])


def by_strength(table: ConfoundTable) -> dict[float, list[ConfoundCell]]:
    """The cells of each strength, in order."""
    found: dict[float, list[ConfoundCell]] = {}
    for cell in table.cells:
        found.setdefault(cell.strength, []).append(cell)
    return found


def write_confound(out: Path, table: ConfoundTable, sheets: Mapping[str, Path]) -> None:
    """Write the files.

    Args:
        out: folder.
        table: of `tabulate`.
        sheets: cell -> picture of what it does.

    """
    write_json(out / "table.json", asdict(table))
    write_bytes(out / "table.md", confound_markdown(table).encode())
    _report(table, sheets).write(out / "report.html")


def _report(table: ConfoundTable, sheets: Mapping[str, Path]) -> Report:
    compared = [cell for cell in table.cells if cell.repair]
    better = [
        c for c in compared if c.repair and c.repair.holds and c.repair.difference.estimate > 0
    ]
    report = Report(
        "Planted confounder",
        f"{len(better)} of {len(compared)} cells may be called better than plain training where "
        f"the plant's meaning is turned{': ' if better else ''}"
        f"{', '.join(cell.name for cell in better)}.",
    )
    for note in (_planted(table), *READING):
        report.paragraph(note)
    for strength, cells in by_strength(table).items():
        report.heading(f"Strength p = {strength:g}")
        report.table(CONFOUND_HEADER, confound_rows(cells))
        report.table(MEASURE_HEADER, measure_rows(cells))
        claims = [(c.row, c.repair.claim) for c in cells if c.repair]
        if claims:
            report.table(("row", "what may be claimed"), claims)
    report.heading("Pictures")
    report.paragraph(
        "The same test images for every row, first seed. From left, twice, with the plant in "
        "agreement and then in conflict: truth (green) and answer (orange); the plant (blue); M of "
        "each stage, orange where features are let through."
    )
    for name, path in sheets.items():
        report.picture_file(path, name)
    return report


def _mean(values: Sequence[float], form: str = ".3f") -> str:
    return f"{float(np.mean(values)):{form}}"


def _over_seeds(values: Sequence[float], form: str) -> str:
    interval = seed_interval(list(values))
    return _mean(values, form) if interval is None else f"{interval:{form}}"
