"""An ablation in words: table.json, table.csv, table.md and report.html."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np

from causalseg.evaluation.comparison import few_subjects
from causalseg.evaluation.plots import forest
from causalseg.evaluation.report import Report
from causalseg.experiments.ablation_table import AblationTable, CellRow
from causalseg.files import Row, write_bytes, write_csv, write_json
from causalseg.markdown import markdown_table

DICE_HEADER = (
    "cell", "parameters", "seeds", "Dice [95 %]", "SD of seeds", "micro Dice", "other text",
    "difference to the reference [95 %]", "p (Holm)", "difference by seed [95 %]",
)  # fmt: skip
MASK_HEADER = (
    "cell", "mass in the lesion", "lesion's area", "lift", "mean M by stage",
    "SD of M in an image", "change under do(text)", "Dice, M = 1", "change of Dice, M = 1",
)  # fmt: skip


def dice_rows(table: AblationTable) -> list[list[str]]:
    """Rows of text under `DICE_HEADER`."""
    rows = []
    for cell in table.cells:
        if cell.dice is None:
            rows.append([cell.name, *[""] * (len(DICE_HEADER) - 1)])
            continue
        words = [cell.name, f"{cell.parameters_at_inference:,}", str(len(cell.seeds))]
        words += [f"{cell.dice:.3f}", _number(cell.seed_standard_deviation)]
        words += [_number(cell.micro_dice), _number(cell.dice_with_other_text)]
        rows.append([*words, *_compared_words(cell, table.reference)])
    return rows


def _compared_words(cell: CellRow, reference: str) -> list[str]:
    compared = cell.comparison
    if compared is None:
        return ["reference" if cell.name == reference else "", "", ""]
    seeds = " ".join(f"{d:+.3f}" for d in compared.difference_by_seed)
    if compared.over_seeds:
        seeds += f" [{compared.over_seeds.low:+.3f}, {compared.over_seeds.high:+.3f}]"
    return [f"{compared.difference:+.3f}", f"{compared.p_holm:.4f}", seeds]


def mask_rows(table: AblationTable) -> list[list[str]]:
    """Rows of text under `MASK_HEADER`, for cells with causal masks; spaces separate the seeds."""
    rows = []
    for cell in table.cells:
        masks = cell.masks
        if masks is None:
            continue
        stages = masks.stages.items()
        rows.append(
            [
                cell.name,
                _numbers(masks.inside),
                _number(masks.lesion_area),
                _numbers(masks.lift, ".2f"),
                "; ".join(f"{name}: {_numbers(stage.level, '.2f')}" for name, stage in stages),
                "; ".join(f"{name}: {_numbers(stage.spread, '.2f')}" for name, stage in stages),
                f"{masks.do_text:.1g}",
                _numbers(masks.dice_open),
                _numbers([change["estimate"] for change in masks.open_change], "+.3f"),
            ]
        )
    return rows


def _notes(table: AblationTable) -> list[str]:
    """What a reader must know to read the table."""
    data = table.data
    found = [
        f"{data}. {table.runs} of {table.runs_planned} runs are finished.",
        "Dice is macro at the masks' native size; brackets: subjects drawn with replacement "
        f"{table.resamples} times, seeds averaged per image. They say how the mean would vary "
        "with other patients; the standard deviation of seeds says how it varies with another "
        "training run, and so does the last column's t interval over seeds. Better or worse is "
        "said only where both leave out 0. Holm's correction runs over all comparisons. Other "
        "text: Dice when each image gets another image's caption, where that reads differently."
        + few_subjects(data.subjects),
        "Lift is the masks' mass in the lesion over the lesion's share of the area, mean of the "
        "stages: 1 is what a mask that selects nothing would have. The masks are computed from "
        "the image alone, so their change under do(text) is 0 by construction; it was measured "
        "all the same, with another image's caption.",
    ]
    return found + [f"Left out: {name} ({why})" for name, why in table.left_out.items()]


def ablation_markdown(table: AblationTable) -> str:
    """Both tables, the claims and the notes."""
    lines = [markdown_table(DICE_HEADER, dice_rows(table)), ""]
    masks = mask_rows(table)
    if masks:
        lines += [markdown_table(MASK_HEADER, masks), ""]
    claims = [f"- {cell.name}: {comparison.claim}" for cell, comparison in table.compared]
    return "\n".join([*lines, *claims, "", *chain(*((n, "") for n in _notes(table)))])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _numbers(values: Sequence[float | None], form: str = ".3f") -> str:
    return " ".join("" if value is None else f"{value:{form}}" for value in values)


def write_ablation(out: Path, table: AblationTable, sheets: Mapping[str, Path]) -> None:
    """Write the four files.

    Args:
        out: folder.
        table: of `tabulate`.
        sheets: cell -> picture of its masks.

    """
    write_json(out / "table.json", asdict(table))
    write_csv(out / "table.csv", [_flat(cell) for cell in table.cells])
    write_bytes(out / "table.md", ablation_markdown(table).encode())
    _report(table, sheets).write(out / "report.html")


def _flat(cell: CellRow) -> Row:
    """One row of plain columns; empty where a cell has no such value."""
    compared, masks = cell.comparison, cell.masks
    row: Row = {
        "cell": cell.name,
        "seeds": " ".join(map(str, cell.seeds)),
        "parameters": cell.parameters,
        "parameters_at_inference": cell.parameters_at_inference,
        "dice": cell.dice and cell.dice.estimate,
        "dice_low": cell.dice and cell.dice.low,
        "dice_high": cell.dice and cell.dice.high,
        "seed_standard_deviation": cell.seed_standard_deviation,
        "micro_dice": cell.micro_dice,
        "dice_with_other_text": cell.dice_with_other_text,
        "difference": compared and compared.difference.estimate,
        "difference_low": compared and compared.difference.low,
        "difference_high": compared and compared.difference.high,
        "p": compared and compared.p,
        "p_holm": compared and compared.p_holm,
        "over_seeds_low": compared and compared.over_seeds and compared.over_seeds.low,
        "over_seeds_high": compared and compared.over_seeds and compared.over_seeds.high,
        "holds": compared and compared.holds,
        "mask_mass_in_lesion": masks and _mean(masks.inside),
        "lesion_area": masks and masks.lesion_area,
        "mask_change_under_do_text": masks and masks.do_text,
        "dice_masks_forced_to_1": masks and _mean(masks.dice_open),
    }
    return {key: "" if value is None else value for key, value in row.items()}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _report(table: AblationTable, sheets: Mapping[str, Path]) -> Report:
    compared = table.compared
    better = sum(c.holds and c.difference.estimate > 0 for _, c in compared)
    worse = sum(c.holds and c.difference.estimate < 0 for _, c in compared)
    report = Report(
        "Ablation",
        f"{len(compared)} cells were compared with the reference ({table.reference}): {better} "
        f"may be called better, {worse} worse, {len(compared) - better - worse} neither.",
    )
    for note in _notes(table):
        report.paragraph(note)
    report.heading("Every cell")
    report.table(DICE_HEADER, dice_rows(table))
    if compared:
        report.figure(
            forest(
                [cell.name for cell, _ in compared],
                [c.difference for _, c in compared],
                "Dice minus the reference's",
            ),
            "Difference in macro Dice with its 95 % interval; the dashed line is no difference.",
        )
        report.heading("What may be claimed")
        report.table(("cell", "in words"), [(cell.name, c.claim) for cell, c in compared])
    masks = mask_rows(table)
    if masks:
        report.heading("What the causal masks do")
        report.table(MASK_HEADER, masks, "Several numbers: one for each seed, in order.")
        report.paragraph(
            "Pictures of the same images, first seed. From left: truth (green) and prediction "
            "(orange); the mask M of each stage, orange where features are let through; the "
            "prediction with all masks forced to 1."
        )
        for name, path in sheets.items():
            report.picture_file(path, name)
    return report
