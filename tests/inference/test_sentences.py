"""What a user writes reaches the model as its captions are, and whatever is in doubt is told."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from causalseg import build_model
from causalseg.cli.main import main
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.default import default_checkpoint
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import (
    AS_WRITTEN,
    NOTHING_FOUND,
    NOTHING_SAID,
    CaptionKind,
    caption_kind,
    kind_of_captions,
    read_for,
)
from causalseg.models.checkpoint import read_header, save_checkpoint

CHEST = {"captions": {"reading": "chest", "sides": "viewer", "wording": "sgseg"}}
LEFT_IN_PICTURE = "unilateral pulmonary infection, one infected area, lower left lung."


@pytest.fixture(scope="module")
def chest_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that draw something for every sentence, recorded as a chest model."""
    import torch

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("chest") / "chest.safetensors"
    save_checkpoint(
        path,
        build_model("causalclipseg", encoder="tiny"),
        preprocessing=Preprocessing(size=64).to_dict(),
        threshold=0.01,
        provenance={**CHEST, "modalities": ["DX"], "body_parts": ["CHEST"]},
    )
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = tmp_path / "xray.png"
    Image.fromarray(pixels).save(path)
    return path


def test_the_packaged_model_is_known_by_its_data() -> None:
    provenance = read_header(default_checkpoint()).provenance
    assert caption_kind(provenance) == CaptionKind("viewer", "sgseg")
    assert caption_kind({**provenance, "captions": {"reading": None}}) is None
    assert caption_kind({}) is None
    with pytest.raises(InputError, match="update causalseg"):
        caption_kind({"captions": {"reading": "chest", "sides": "nobody"}})


def test_training_records_the_kind_of_its_captions() -> None:
    lvit = "Unilateral pulmonary infection, one infected area, all left lung."
    alone = {"reading": "chest", "sides": "viewer", "wording": "lvit", "also": []}
    assert kind_of_captions([lvit]) == alone
    both = kind_of_captions([LEFT_IN_PICTURE, lvit])
    assert (both["wording"], both["also"]) == ("sgseg", ["lvit"])
    for caption in (lvit, LEFT_IN_PICTURE):
        assert read_for({"captions": both}, caption).given == caption
    assert kind_of_captions([LEFT_IN_PICTURE, "No polyp visible."]) == {"reading": None}
    assert kind_of_captions([]) == {"reading": None}


@pytest.mark.parametrize(
    ("text", "sides", "given"),
    [
        ("RLL pneumonia", None, LEFT_IN_PICTURE),
        ("RLL pneumonia", "viewer", LEFT_IN_PICTURE.replace("left", "right")),
        ("Opacity in the lower zone on the left of the picture.", None, LEFT_IN_PICTURE),
        (LEFT_IN_PICTURE, None, LEFT_IN_PICTURE),
        (LEFT_IN_PICTURE, "patient", LEFT_IN_PICTURE.replace("left", "right")),
        ("pneumonia", None, "pulmonary infection."),
        ("Lungs are clear.", None, "no pulmonary infection."),
    ],
)
def test_the_model_gets_the_canonical_sentence(text: str, sides: str, given: str) -> None:
    assert read_for(CHEST, text, sides).given == given


def test_a_caption_in_another_wording_is_reworded() -> None:
    lvit = "Unilateral pulmonary infection, one infected area, all left lung."
    assert "three infected areas" in read_for(CHEST, lvit).given
    own = {"captions": {"reading": "chest", "sides": "viewer", "wording": "lvit"}}
    assert read_for(own, lvit).given == lvit


def test_an_answer_says_which_lung_was_meant() -> None:
    meant = read_for(CHEST, "RLL pneumonia").meant
    assert "the lung on the left of the picture, the patient's right" in meant
    assert "is taken to give the patient's sides" in meant
    assert read_for(CHEST, "Pneumonia in the patient's right lung.").meant.endswith(
        "(the text gives the patient's sides)"
    )


def test_a_model_of_something_else_takes_sentences_as_written() -> None:
    sentence = read_for({"captions": {"reading": None}}, "one small polyp, upper left")
    assert sentence.given == "one small polyp, upper left"
    assert sentence.read_as == ""
    assert sentence.warnings == (AS_WRITTEN,)


def test_absent_and_other_findings_have_an_empty_mask_that_says_why(
    chest_model: Path, picture: Path
) -> None:
    segmenter = Segmenter.load(chest_model)
    present, absent, other = segmenter.prompts(
        picture, ["Pneumonia.", "No pneumonia.", "Left pleural effusion."]
    )
    assert present.mask.any()
    for empty in (absent, other):
        assert not empty.mask.any()
        assert not empty.probability.any()
        assert NOTHING_FOUND not in empty.warnings
    assert NOTHING_SAID in absent.warnings
    assert any("names effusion" in note for note in other.warnings)


def test_an_empty_mask_of_a_present_finding_says_that_the_model_found_nothing(
    chest_model: Path, picture: Path
) -> None:
    segmenter = Segmenter.load(chest_model)
    segmenter.threshold = 0.999999
    (result,) = segmenter.prompts(picture, ["Pneumonia."])
    assert not result.mask.any()
    assert NOTHING_FOUND in result.warnings


def test_unread_text_is_warned_of_or_refused(chest_model: Path, picture: Path) -> None:
    segmenter = Segmenter.load(chest_model)
    result = segmenter(picture, "Verschattung rechts basal")
    assert any("Verschattung, rechts, basal" in note for note in result.warnings)
    assert any("A sentence that is understood" in note for note in result.warnings)
    with pytest.raises(InputError, match="was not understood"):
        segmenter(picture, "Verschattung rechts basal", strict=True)
    with pytest.raises(InputError, match="names effusion"):
        segmenter(picture, "Left effusion.", strict=True)
    with pytest.raises(InputError, match="patient or viewer"):
        segmenter(picture, "LLL pneumonia", sides="mine")  # type: ignore[arg-type]


def test_reading_does_not_change_what_a_caption_gives(chest_model: Path, picture: Path) -> None:
    segmenter = Segmenter.load(chest_model)
    read = segmenter(picture, "RLL pneumonia")
    written = segmenter(picture, LEFT_IN_PICTURE)
    assert np.array_equal(read.probability, written.probability)


def test_predict_tells_terminal_result_and_index(
    chest_model: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(picture), "--text", "Consolodation in the right lower lobe"]
    arguments += ["--text", "Lungs clear.", "--model", str(chest_model), "--out", str(out)]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert f"was read as {LEFT_IN_PICTURE!r}" in printed.out
    assert "the patient's right" in printed.out
    note = "'Consolodation' was read as 'consolidation'."
    assert f"'Consolodation in the right lower lobe': {note}" in printed.err
    assert f"'Lungs clear.': {NOTHING_SAID}" in printed.err
    record = json.loads((out / "xray" / "result.json").read_text(encoding="utf-8"))
    assert record["masks"][0]["read_as"] == LEFT_IN_PICTURE
    assert note in record["masks"][0]["warnings"]
    assert NOTHING_SAID in record["masks"][1]["warnings"]
    with (out / "index.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert note in row["warnings"]
    assert main([*arguments, "--resume"]) == 0
    assert note in capsys.readouterr().err  # results that are kept are not silent


def test_predict_strict_refuses_and_sides_swap(
    chest_model: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["predict", str(picture), "--model", str(chest_model)]
    refused = [*common, "--text", "Infiltrat rechts", "--strict", "--out", str(tmp_path / "a")]
    assert main(refused) == 2
    assert "was not understood" in capsys.readouterr().err
    given = [*common, "--text", "RLL opacity", "--sides", "viewer", "--out", str(tmp_path / "b")]
    assert main(given) == 0
    record = json.loads((tmp_path / "b" / "xray" / "result.json").read_text(encoding="utf-8"))
    assert "lower right lung" in record["masks"][0]["read_as"]


def test_laterality_of_a_header_is_the_patients(chest_model: Path, make_dicom: Any) -> None:
    """An image of the left side and the patient's left agree; the picture's left is the right."""
    from causalseg.inference.formats import read_study
    from causalseg.inference.tracks import Track, segment_study
    from causalseg.inference.writers import sentence_warnings

    study = read_study(make_dicom(np.full((40, 56), 900, np.uint16), ImageLaterality="L"))
    segmenter = Segmenter.load(chest_model)
    for text, told in (
        ("Pneumonia in the left lung.", False),
        ("Pneumonia in the right lung.", True),
        ("Opacity on the left of the picture.", True),
        ("Opacity on the right of the picture.", False),
    ):
        (answer,) = segment_study(segmenter, study, [Track({0: text}, text)])
        notes = sentence_warnings(segmenter, study, list(answer.sentences.values()))
        assert any("patient's left side only" in note for note in notes) == told, text


def test_a_dicom_seg_says_what_was_read(chest_model: Path, make_dicom: Any, tmp_path: Path) -> None:
    from pydicom import dcmread

    source = make_dicom(np.full((40, 56), 900, np.uint16), ImageLaterality="")
    out = tmp_path / "out"
    texts = ["RLL pneumonia", "No pneumonia.", "Is there pneumonia?", "Opacity, lft base of qwert."]
    arguments = ["predict", str(source), *(part for text in texts for part in ("--text", text))]
    assert main([*arguments, "--model", str(chest_model), "--out", str(out)]) == 0
    (path,) = out.glob("*/segmentation.dcm")
    told = [str(one.SegmentDescription) for one in dcmread(path).SegmentSequence]
    masks = json.loads((path.parent / "result.json").read_text())["masks"]
    for said, mask in zip(told, masks, strict=True):
        assert all(note in said for note in mask["warnings"])
    first, second, third, fourth = told
    assert "the text is a question" in third
    assert "'lft' was read as 'left'" in fourth
    assert "not understood: qwert" in fourth
    assert first.startswith(f"RLL pneumonia | read as: {LEFT_IN_PICTURE}")
    assert "the patient's right" in first
    assert NOTHING_SAID in second
