"""A mask that lies elsewhere than the sentence asked is told, wherever answers are read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from causalseg import build_model
from causalseg.apps.answers import answer
from causalseg.cli.main import main
from causalseg.data.preprocessing import Preprocessing
from causalseg.inference.formats import read_study
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.zones import misplaced, outside
from causalseg.models.checkpoint import save_checkpoint
from causalseg.models.checks import BANDS

LEFT_UPPER = (("left", "upper"),)
TOLD = "lies outside the place that the text names"


def test_the_share_outside_is_counted_by_rows_and_halves() -> None:
    mask = np.zeros((100, 40), np.uint8)
    mask[40:60, :20] = 1
    assert outside(mask, LEFT_UPPER) == pytest.approx((60 - 100 * BANDS["upper"][1]) / 20)
    assert outside(mask, (("left", "upper"), ("left", "lower"))) == 0
    assert outside(mask, (("right", "middle"),)) == 1
    assert outside(mask[::-1], (("left", "middle"),)) == 0
    assert outside(np.zeros_like(mask), LEFT_UPPER) == 0


def test_only_what_lies_mostly_elsewhere_is_told() -> None:
    mask = np.zeros((100, 41), np.uint8)
    mask[70:90, :20] = 1
    told = misplaced(mask, LEFT_UPPER)
    assert told is not None
    assert told.startswith("100 % of the mask")
    assert "the upper zone of the lung on the left of the picture, the patient's right" in told
    assert misplaced(mask, (("left", "lower"),)) is None
    assert misplaced(mask, (("right", "lower"),)) is not None
    assert misplaced(mask, ()) is None
    mask[10:30, :20] = 1  # half of it in each
    assert misplaced(mask, LEFT_UPPER) is None


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest model that draws all of the picture for every sentence."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("zones") / "chest.safetensors"
    save_checkpoint(
        path,
        build_model("causalclipseg", encoder="tiny"),
        preprocessing=Preprocessing(size=64).to_dict(),
        threshold=1e-6,
        provenance={
            "captions": {"reading": "chest", "sides": "viewer", "wording": "sgseg"},
            "card": {"trained on": "QaTa-COV19"},
        },
    )
    return path


def test_every_answer_carries_it(everywhere: Path, make_dicom: Any, tmp_path: Path) -> None:
    from pydicom import dcmread

    source = make_dicom(np.random.default_rng(0).integers(0, 900, (40, 56)).astype(np.uint16))
    segmenter = Segmenter.load(everywhere)
    study = read_study(source)
    (result,) = segmenter.prompts(study.frames[0], "New airspace opacity RUL.")
    assert result.mask.all()
    (told,) = (note for note in result.warnings if TOLD in note)
    assert "the upper zone of the lung on the left of the picture" in told
    assert told in answer(study, result, segmenter).warnings  # of the page and the server

    out = tmp_path / "out"
    arguments = ["predict", str(source), "--text", "New airspace opacity RUL."]
    assert main([*arguments, "--model", str(everywhere), "--out", str(out)]) == 0
    (path,) = out.glob("*/result.json")
    assert told in json.loads(path.read_text())["masks"][0]["warnings"]
    seg = dcmread(path.with_name("segmentation.dcm"))
    assert told in str(seg.SegmentSequence[0].SegmentDescription)


@pytest.mark.parametrize(
    "text", ["Pneumonia.", "Possible opacity in the right upper lobe.", "RUL opacity? ", "No RUL."]
)
def test_nothing_is_told_where_no_place_is_stated(everywhere: Path, text: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    assert not any(TOLD in note for note in Segmenter.load(everywhere)(pixels, text).warnings)


def test_a_model_of_other_pictures_is_not_judged_by_these_rows(everywhere: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    segmenter = Segmenter.load(everywhere)
    assert any(TOLD in note for note in segmenter(pixels, "RUL opacity.").warnings)
    segmenter.provenance["card"] = {"trained on": "MosMedData+, CT slices"}
    assert not any(TOLD in note for note in segmenter(pixels, "RUL opacity.").warnings)
