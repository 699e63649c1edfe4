"""Macro or micro, told from published numbers."""

import numpy as np
import pytest

from causalseg.cli.main import main
from causalseg.errors import InputError
from causalseg.evaluation.forensics import examine
from causalseg.evaluation.metrics import iou_of_dice
from causalseg.experiments.published import LEADERBOARD


@pytest.mark.parametrize(
    ("dice", "iou", "kind"),
    [
        ("85.21", "76.90", "macro"),
        ("0.8521", "0.7690", "macro"),
        ("90.88%", "83.28%", "micro"),
        ("85.21", "70.00", "impossible"),
        ("0.85", "0.74", "undecided"),
    ],
)
def test_known_pairs(dice, iou, kind):
    assert examine(dice, iou).kind == kind


def test_rounded_micro_pairs_are_never_called_macro():
    for d in np.random.default_rng(0).uniform(0.05, 0.99, 200):
        iou = float(iou_of_dice(d))
        assert examine(f"{100 * d:.2f}", f"{100 * iou:.2f}").kind == "micro"


def test_means_of_random_images_are_macro():
    generator = np.random.default_rng(1)
    for _ in range(50):
        d = generator.beta(6, 2, 500)
        assert examine(f"{d.mean():.4f}", f"{iou_of_dice(d).mean():.4f}").kind == "macro"


@pytest.mark.parametrize("pair", [("0.85", "76"), ("x", "1"), ("120", "70"), ("nan", "0.5")])
def test_refuses_what_is_no_pair(pair):
    with pytest.raises(InputError):
        examine(*pair)


def test_leaderboard_rows_of_this_field_are_macro(capsys):
    assert main(["forensics", "--table"]) == 0
    assert "CausalCLIPSeg" in capsys.readouterr().out
    for row in LEADERBOARD:
        if row.data == "QaTa-COV19":
            assert examine(f"{row.dice:.2f}", f"{row.iou:.2f}").kind == "macro"
