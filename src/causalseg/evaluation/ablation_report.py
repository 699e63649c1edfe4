"""Write an ablation: table.json, table.csv, table.md and report.html."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from causalseg.evaluation.ablation import (
    DICE_HEADER,
    MASK_HEADER,
    compared_cells,
    dice_rows,
    markdown,
    mask_rows,
    notes,
)
from causalseg.evaluation.plots import forest
from causalseg.evaluation.report import Report
from causalseg.files import Row, write_bytes, write_csv, write_json


def write_ablation(out: Path, table: Mapping[str, Any], sheets: Mapping[str, Path]) -> None:
    """Write the four files.

    Args:
        out: folder.
        table: of `tabulate`.
        sheets: cell -> picture of its masks.

    """
    write_json(out / "table.json", table)
    write_csv(out / "table.csv", [_flat(cell) for cell in table["cells"]])
    write_bytes(out / "table.md", markdown(table).encode())
    _report(table, sheets).write(out / "report.html")


def _flat(cell: Mapping[str, Any]) -> Row:
    """One row of plain columns; empty where a cell has no such value."""
    dice, compared = cell.get("dice") or {}, cell.get("comparison") or {}
    difference, masks = compared.get("difference") or {}, cell.get("masks") or {}
    return {
        "cell": cell["name"],
        "seeds": " ".join(map(str, cell["seeds"])),
        "parameters": cell.get("parameters", ""),
        "parameters_at_inference": cell.get("parameters_at_inference", ""),
        "dice": dice.get("estimate", ""),
        "dice_low": dice.get("low", ""),
        "dice_high": dice.get("high", ""),
        "seed_standard_deviation": cell.get("seed_standard_deviation") or "",
        "micro_dice": cell.get("micro_dice", ""),
        "dice_with_other_text": cell.get("dice_with_other_text", ""),
        "difference": difference.get("estimate", ""),
        "difference_low": difference.get("low", ""),
        "difference_high": difference.get("high", ""),
        "p": compared.get("p", ""),
        "p_holm": compared.get("p_holm", ""),
        "over_seeds_low": (compared.get("over_seeds") or {}).get("low", ""),
        "over_seeds_high": (compared.get("over_seeds") or {}).get("high", ""),
        "holds": compared.get("holds", ""),
        "mask_mass_in_lesion": _mean(masks.get("inside")),
        "lesion_area": masks.get("lesion_area") or "",
        "mask_change_under_do_text": masks.get("do_text", ""),
        "dice_masks_forced_to_1": _mean(masks.get("dice_open")),
    }


def _mean(values: Any) -> float | str:
    known = [value for value in values or () if value is not None]
    return float(np.mean(known)) if known else ""


def _report(table: Mapping[str, Any], sheets: Mapping[str, Path]) -> Report:
    compared = compared_cells(table)
    better = sum(c["holds"] and c["difference"]["estimate"] > 0 for _, c in compared)
    worse = sum(c["holds"] and c["difference"]["estimate"] < 0 for _, c in compared)
    report = Report(
        "Ablation",
        f"{len(compared)} cells were compared with the reference ({table['reference']}): {better} "
        f"may be called better, {worse} worse, {len(compared) - better - worse} neither.",
    )
    for note in notes(table):
        report.paragraph(note)
    report.heading("Every cell")
    report.table(DICE_HEADER, dice_rows(table))
    if compared:
        report.figure(
            forest(
                [cell["name"] for cell, _ in compared],
                [c["difference"] for _, c in compared],
                "Dice minus the reference's",
            ),
            "Difference in macro Dice with its 95 % interval; the dashed line is no difference.",
        )
        report.heading("What may be claimed")
        report.table(("cell", "in words"), [(cell["name"], c["claim"]) for cell, c in compared])
    masks = mask_rows(table)
    if masks:
        report.heading("What the causal masks do")
        report.table(MASK_HEADER, masks, "Several numbers: one for each seed, in order.")
        report.paragraph(
            "Pictures of the same test images, first seed. From left: truth (green) and prediction "
            "(orange); the mask M of each stage, orange where features are let through; the "
            "prediction with all masks forced to 1."
        )
        for name, path in sheets.items():
            with Image.open(path) as picture:
                report.picture(np.asarray(picture.convert("RGB")), name)
    return report
