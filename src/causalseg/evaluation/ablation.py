"""The table of an ablation grid: every cell against one reference, and what its masks do.

Dice is macro, of the native masks, so that cells of different image sizes can be compared. Seeds
are averaged image by image; subjects are resampled; Holm's correction runs over all cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.errors import InputError
from causalseg.evaluation.comparison import (
    LEVEL,
    Comparison,
    Method,
    Run,
    align,
    compare_pairs,
    method_interval,
    read_run,
    seed_spread,
)
from causalseg.evaluation.files import read_json
from causalseg.evaluation.statistics import seed_interval
from causalseg.markdown import markdown_table

MEASURE, ALSO = "native_dice", "native_iou"
OTHER_TEXT = ("text of another image, where it reads differently", "text of another image")


@dataclass(frozen=True)
class CellRuns:
    """One configuration and its finished runs."""

    name: str
    values: Mapping[str, Any]
    folders: Mapping[int, Path]
    """Seed -> score folder, with masks.json where the model has causal masks."""


def tabulate(
    cells: Sequence[CellRuns], reference: str, *, resamples: int = 10_000
) -> dict[str, Any]:
    """The whole table as plain data.

    Args:
        cells: in the table's order; those without a finished run are listed as such.
        reference: name of the cell that the others are compared with, on the seeds both have.
        resamples: of bootstrap and test.

    Raises:
        InputError: the runs were scored on other images or data, or none is finished.

    """
    keys = [(cell.name, seed) for cell in cells for seed in cell.folders]
    if not keys:
        raise InputError("no run of the grid is finished, so there is nothing to tabulate.")
    folders = [cell.folders[seed] for cell in cells for seed in cell.folders]
    runs = dict(zip(keys, align([read_run(f, (MEASURE, ALSO)) for f in folders]), strict=True))
    compared = {
        c.a: c
        for c in compare_pairs(_pairs(cells, reference, runs), (MEASURE,), resamples=resamples)
    }
    first = read_json(folders[0] / "metrics.json")
    return {
        "reference": reference,
        "measure": MEASURE,
        "data": first["data"] | {"images": first["images"], "subjects": first["subjects"]},
        "resamples": resamples,
        "runs": len(keys),
        "cells": [
            _cell(cell, runs, compared.get(cell.name), reference, resamples) for cell in cells
        ],
    }


def _pairs(
    cells: Sequence[CellRuns], reference: str, runs: Mapping[tuple[str, int], Run]
) -> list[tuple[Method, Method]]:
    base = next(cell for cell in cells if cell.name == reference)
    pairs = []
    for cell in cells:
        seeds = [seed for seed in cell.folders if seed in base.folders]
        if seeds and cell.name != reference:
            ours, theirs = (
                Method(name, tuple(runs[name, seed] for seed in seeds))
                for name in (cell.name, reference)
            )
            pairs.append((ours, theirs))
    return pairs


def _cell(
    cell: CellRuns,
    runs: Mapping[tuple[str, int], Run],
    compared: Comparison | None,
    reference: str,
    resamples: int,
) -> dict[str, Any]:
    """One row."""
    row: dict[str, Any] = {"name": cell.name, "values": dict(cell.values)}
    row["seeds"] = list(cell.folders)
    if not cell.folders:
        return row
    method = Method(cell.name, tuple(runs[cell.name, seed] for seed in cell.folders))
    metrics = [read_json(folder / "metrics.json") for folder in cell.folders.values()]
    row |= {
        "parameters": metrics[0]["run"]["parameters"],
        "parameters_at_inference": metrics[0]["run"]["parameters_at_inference"],
        "dice": asdict(method_interval(method, MEASURE, resamples=resamples)),
        "iou": asdict(method_interval(method, ALSO, resamples=resamples)),
        "micro_dice": _mean([m["native_size"]["micro"]["dice"]["estimate"] for m in metrics]),
        "dice_by_seed": {
            str(seed): float(runs[cell.name, seed].columns[MEASURE].mean()) for seed in cell.folders
        },
        "seed_standard_deviation": seed_spread(method, MEASURE),
        "dice_with_other_text": _mean([_other_text(m) for m in metrics]),
        "masks": _masks([f / "masks.json" for f in cell.folders.values()]),
        "comparison": None,
    }
    if compared is not None:
        by_seed = [
            float(
                (runs[cell.name, s].columns[MEASURE] - runs[reference, s].columns[MEASURE]).mean()
            )
            for s in cell.folders
            if (reference, s) in runs
        ]
        row["comparison"] = _verdict(compared, by_seed)
    return row


def _verdict(compared: Comparison, by_seed: Sequence[float]) -> dict[str, Any]:
    """A comparison, with a claim on methods only where it also holds across training runs."""
    seeds, subjects = seed_interval(by_seed), compared.difference
    on_images = compared.p_holm < LEVEL and not subjects.low <= 0 <= subjects.high
    holds = on_images and seeds is not None and not seeds.low <= 0 <= seeds.high
    found = asdict(compared) | {"difference_by_seed": list(by_seed), "holds": holds}
    found["over_seeds"] = None if seeds is None else asdict(seeds)
    if on_images and not holds:
        why = "one seed says nothing about the methods."
        if seeds is not None:
            why = (
                "another training run may turn it: over "
                f"{seeds.clusters} seeds anything from {seeds.low:+.3f} to {seeds.high:+.3f} fits."
            )
        found["claim"] = f"These runs differ on these images, but {why}"
    return found


def _other_text(metrics: Mapping[str, Any]) -> float | None:
    controls = metrics.get("controls", {})
    found = next((controls[key] for key in OTHER_TEXT if key in controls), None)
    return None if found is None else float(found["estimate"])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _masks(paths: Sequence[Path]) -> dict[str, Any] | None:
    """Of all seeds: value of each, in order."""
    found = [read_json(path) for path in paths if path.exists()]
    if not found:
        return None
    return {
        "lesion_area": found[0]["lesion_area"],
        "inside": [m["inside"] and m["inside"]["estimate"] for m in found],
        "lift": [m["lift"] and m["lift"]["estimate"] for m in found],
        "do_text": max(m["do_text"]["largest"] for m in found),
        "dice_open": [m["dice_open"]["estimate"] for m in found],
        "open_change": [m["open_change"] for m in found],
        "stages": {
            stage: {key: [m["stages"][stage][key] for m in found] for key in ("level", "spread")}
            | {"lift": [m["stages"][stage]["lift"] for m in found]}
            for stage in found[0]["stages"]
        },
    }


DICE_HEADER = (
    "cell", "parameters", "seeds", "Dice [95 %]", "SD of seeds", "micro Dice", "other text",
    "difference to the reference [95 %]", "p (Holm)", "difference by seed [95 %]",
)  # fmt: skip
MASK_HEADER = (
    "cell", "mass in the lesion", "lesion's area", "lift", "mean M by stage",
    "SD of M in an image", "change under do(text)", "Dice, M = 1", "change of Dice, M = 1",
)  # fmt: skip


def dice_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """Rows of text under `DICE_HEADER`."""
    rows = []
    for cell in table["cells"]:
        if not cell["seeds"]:
            rows.append([cell["name"], *[""] * (len(DICE_HEADER) - 1)])
            continue
        words = [cell["name"], f"{cell['parameters_at_inference']:,}", str(len(cell["seeds"]))]
        words += [_interval(cell["dice"]), _number(cell["seed_standard_deviation"])]
        words += [_number(cell["micro_dice"]), _number(cell["dice_with_other_text"])]
        compared = cell["comparison"]
        if compared is None:
            words += ["reference" if cell["name"] == table["reference"] else "", "", ""]
        else:
            seeds = " ".join(f"{d:+.3f}" for d in compared["difference_by_seed"])
            if compared["over_seeds"]:
                low, high = (compared["over_seeds"][end] for end in ("low", "high"))
                seeds += f" [{low:+.3f}, {high:+.3f}]"
            words += [_interval(compared["difference"], "+.3f"), f"{compared['p_holm']:.4f}", seeds]
        rows.append(words)
    return rows


def mask_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """Rows of text under `MASK_HEADER`, for cells with causal masks; seeds apart by spaces."""
    rows = []
    for cell in table["cells"]:
        masks = cell.get("masks")
        if not masks:
            continue
        stages = masks["stages"].items()
        rows.append(
            [
                cell["name"],
                _numbers(masks["inside"]),
                _number(masks["lesion_area"]),
                _numbers(masks["lift"], ".2f"),
                "; ".join(f"{s}: {_numbers(v['level'], '.2f')}" for s, v in stages),
                "; ".join(f"{s}: {_numbers(v['spread'], '.2f')}" for s, v in stages),
                f"{masks['do_text']:.1g}",
                _numbers(masks["dice_open"]),
                _numbers([c["estimate"] for c in masks["open_change"]], "+.3f"),
            ]
        )
    return rows


def notes(table: Mapping[str, Any]) -> list[str]:
    """What a reader must know to read the table."""
    data, runs = table["data"], table["runs"]
    found = [
        f"{data['root']}, {data['split']} split: {data['images']} images of {data['subjects']} "
        f"subjects, fingerprint {data['fingerprint'][:16]}. {runs} of "
        f"{table.get('runs_planned', runs)} runs are finished.",
        "Dice is macro at the masks' native size; brackets: subjects drawn with replacement "
        f"{table['resamples']} times, seeds averaged per image. They say how the mean would vary "
        "with other patients; the standard deviation of seeds says how it varies with another "
        "training run, and so does the last column's t interval over seeds. Better or worse is "
        "said only where both leave out 0. Holm's correction runs over all comparisons. Other "
        "text: Dice when each image gets another image's caption, where that reads differently.",
        "Lift is the masks' mass in the lesion over the lesion's share of the area, mean of the "
        "stages: 1 is what a mask that selects nothing would have. The masks are computed from "
        "the image alone, so their change under do(text) is 0 by construction; it was measured "
        "all the same, with another image's caption.",
    ]
    found += [f"Left out: {name} ({why})" for name, why in table.get("left_out", {}).items()]
    return found


def markdown(table: Mapping[str, Any]) -> str:
    """Both tables, the claims and the notes."""
    lines = [markdown_table(DICE_HEADER, dice_rows(table)), ""]
    masks = mask_rows(table)
    if masks:
        lines += [markdown_table(MASK_HEADER, masks), ""]
    claims = [f"- {cell['name']}: {c['claim']}" for cell, c in compared_cells(table)]
    return "\n".join([*lines, *claims, "", *chain(*((n, "") for n in notes(table)))])


def compared_cells(table: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(cell, comparison) of the cells that were compared."""
    return [(c, c["comparison"]) for c in table["cells"] if c.get("comparison")]


def _interval(value: Mapping[str, float], form: str = ".3f") -> str:
    return f"{value['estimate']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _numbers(values: Sequence[float | None], form: str = ".3f") -> str:
    return " ".join("" if value is None else f"{value:{form}}" for value in values)
