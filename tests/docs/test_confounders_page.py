"""Every number of docs/results/confounders.md comes from its files in docs/results/confound."""

import json
from collections import defaultdict

import numpy as np
import pytest
from make_confound import DATA, PAGE

from causalseg.evaluation.files import read_result_rows
from causalseg.experiments.confound_report import READING, confound_tables
from causalseg.experiments.confound_table import ConfoundTable

GRIDS = sorted(DATA.glob("*.json"))


def test_the_page_has_the_table_of_every_grid() -> None:
    assert GRIDS
    text = PAGE.read_text()
    for path in GRIDS:
        table = ConfoundTable.from_dict(json.loads(path.read_text()))
        assert confound_tables(table).strip() in text
    assert all(text.count(note) == 1 for note in READING)


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_the_tables_follow_from_the_dice_of_every_image(path) -> None:
    table = ConfoundTable.from_dict(json.loads(path.read_text()))
    columns = ("strength", "row", "seed", "aligned", "conflict", "removed")
    runs = defaultdict(list)
    for row in read_result_rows(path.with_suffix(".csv"), columns):
        key = float(row["strength"]), row["row"], int(row["seed"])
        runs[key].append([float(row[c]) for c in columns[3:]])
    assert len(runs) == table.runs
    for cell in table.cells:
        for i, seed in enumerate(cell.seeds):
            dice = np.array(runs[cell.strength, cell.row, seed])
            assert len(dice) == table.images
            aligned, conflict, removed = dice.mean(0)
            p = cell.strength
            assert cell.tests["same"][i] == pytest.approx(
                p * aligned + (1 - p) * conflict, abs=1e-4
            )
            assert cell.tests["removed"][i] == pytest.approx(removed, abs=1e-4)
            assert cell.drop[i] == pytest.approx((2 * p - 1) * (aligned - conflict), abs=2e-4)
