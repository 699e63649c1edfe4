"""The page's work without a page."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from causalseg.apps import downloads, rle, session, texts, viewer
from causalseg.apps.answers import Identity
from causalseg.apps.limits import Limits, read_upload
from causalseg.apps.session import Session
from causalseg.data.lvit import read_lvit
from causalseg.errors import InputError
from causalseg.evaluation.metrics import dice

FIRST, SECOND = "upper left lung", "lower right lung"
MODEL = Identity("tiny", "0" * 64)


@pytest.fixture
def dicom(pixels, make_dicom):
    """Stored mirrored, so that what is shown differs from what is stored."""
    stored = np.ascontiguousarray(pixels[:, ::-1])
    return read_upload(make_dicom(stored, PatientOrientation=["R", "F"]), Limits())


def asked(segmenter, study, first=FIRST, second=""):
    return session.segment(segmenter, Session().with_image(study), first, second)


def at(state, threshold):
    return state.changed(replace(state.work, threshold=threshold))


def _png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def _pixels(url):
    return viewer.painted(url, np.asarray(Image.open(io.BytesIO(_bytes(url)))).shape[:2])


def _bytes(url):
    import base64

    return base64.b64decode(url.partition(",")[2])


def test_answers_follow_the_threshold_and_the_edit(segmenter, dicom, pixels):
    state = asked(segmenter, dicom, FIRST, SECOND)
    masks = [result.mask for result in segmenter.prompts(pixels, [FIRST, SECOND])]
    for found, mask in zip(state.work.answers(segmenter), masks, strict=True):
        assert np.array_equal(found.mask, mask[:, ::-1])
        assert found.area_mm2 == pytest.approx(mask.sum() * 0.125)
    expected = float(dice(masks[0] > 0, masks[1] > 0))
    assert session.dice_between(state.work) == pytest.approx(expected)
    shown = session.view(state)
    assert (shown["left"], shown["right"]) == ("R", "L")
    for one, mask in zip(shown["masks"], masks, strict=True):
        assert np.array_equal(_pixels(one["source"]), mask)


def test_two_empty_masks_are_not_alike_but_nothing(segmenter, dicom):
    work = at(asked(segmenter, dicom, FIRST, SECOND), 1.0).work
    answers = work.answers(segmenter)
    assert session.dice_between(work) is None
    assert "nothing to compare" in texts.comparison(work, answers)
    said = texts.figures(answers[0])
    assert "Nothing is marked" in said
    assert f"highest is {answers[0].highest:.2f}" in said


def test_a_new_sentence_starts_at_the_model_s_own_threshold(segmenter, dicom):
    state = at(asked(segmenter, dicom), 0.9)
    assert session.segment(segmenter, state, SECOND, "").work.threshold == segmenter.threshold


def test_the_causal_map_s_scale_is_its_own_range(segmenter, dicom, pixels):
    shown = session.view(asked(segmenter, dicom))["map"]
    maps = segmenter(pixels, FIRST).attention.values()
    assert 0 <= shown["low"] < shown["high"] <= max(values.max() for values in maps)
    assert "not on the sentence" in shown["note"]


def test_what_is_painted_counts_and_the_rest_stays_the_model_s(segmenter):
    image = np.tile(np.arange(1600, dtype=np.uint8), (900, 1))
    state = asked(segmenter, read_upload(_png(image), Limits()))
    before = state.work.mask(0)
    shown = viewer.nearest(before, viewer.shrink(image).shape).copy()
    assert max(shown.shape) == viewer.VIEW
    shown[10:20, 30:50] = 1 - shown[10:20, 30:50]
    after = state.changed(state.work.corrected(shown)).work.mask(0)
    assert np.array_equal(viewer.nearest(after, shown.shape), shown)
    changed = np.argwhere(after != before)
    # The pixels that were painted, at the file's own size: 900 / 576 as many each way.
    assert changed.min(axis=0) == pytest.approx([10 * 1.5625, 30 * 1.5625], abs=2)
    assert changed.max(axis=0) == pytest.approx([20 * 1.5625, 50 * 1.5625], abs=2)
    assert state.work.corrected(viewer.nearest(before, shown.shape)).strokes is None


def test_a_correction_stays_when_the_threshold_moves(segmenter, dicom):
    state = asked(segmenter, dicom)
    painted = state.work.mask(0).copy()
    painted[:5] = 1
    state = state.changed(state.work.corrected(painted))
    moved = at(state, 1.0).work.mask(0)
    drawn = np.zeros_like(painted)
    drawn[:5] = state.work.strokes[:5] == 1
    assert np.array_equal(moved, drawn)
    assert "Corrected by hand" in texts.figures(state.work.answers(segmenter)[0])


@pytest.mark.parametrize(
    "data", [None, "", "data:image/png;base64,!", "data:image/png;base64,AA=="]
)
def test_a_stroke_that_is_no_picture_is_refused(data):
    with pytest.raises(InputError):
        viewer.painted(data, (4, 4))


def test_a_stroke_for_another_image_is_refused():
    with pytest.raises(InputError, match="another image"):
        viewer.painted(viewer.data_url(np.zeros((50, 40), np.uint8)), (40, 40))


def test_images_and_answers_are_kept_and_called_back(segmenter, dicom, png):
    state = asked(segmenter, dicom).with_image(read_upload(png, Limits()))
    assert (state.chosen, state.work) == (1, None)
    state = session.segment(segmenter, state, SECOND, "")
    assert state.choose(0).work.results[0].text == FIRST
    assert state.choose(0).recall(1).chosen == 1
    for _ in range(30):
        state = session.segment(segmenter, state, SECOND, "")
    assert len(state.works) == 20


def test_downloads_hold_both_masks_in_the_source_s_geometry(segmenter, dicom, tmp_path):
    from causalseg.inference.formats.seg import read_seg

    state = asked(segmenter, dicom, FIRST, SECOND)
    assert downloads.offered(state.work) == set(downloads.FILES)
    found = {
        name: downloads.make(name, state, segmenter, MODEL, tmp_path) for name in downloads.FILES
    }
    assert {path.name for path in tmp_path.iterdir()} == {p.name for p in found.values()}
    masks = [answer.mask for answer in state.work.answers(segmenter)]
    assert np.array_equal(np.asarray(Image.open(found["png"])) // 255, masks[0])
    assert np.array_equal(np.asarray(Image.open(found["edited"])) // 255, masks[1])
    seg = read_seg(found["dicom"])
    assert np.array_equal(seg[0, ..., 0], masks[0])
    assert np.array_equal(seg[0, ..., 1], masks[1])
    record = json.loads(found["json"].read_text())
    assert np.array_equal(rle.decode(record["masks"][1]["mask"]), masks[1])
    assert record["dice_between_masks"] == session.dice_between(state.work)
    assert record["model"]["sha256"] == MODEL.sha256
    for path in found.values():
        if path.suffix != ".dcm":
            assert b"Doe" not in path.read_bytes()


def test_training_pairs_are_read_as_a_training_set(segmenter, dicom, tmp_path):
    state = asked(segmenter, dicom)
    state = state.changed(state.work.corrected(1 - state.work.mask(0)))
    path = downloads.make("pair", state, segmenter, MODEL, tmp_path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "set")
    (record,) = read_lvit(tmp_path / "set", "train").records
    assert record.caption == FIRST
    assert np.array_equal(np.asarray(Image.open(record.image)), dicom.frames[0])
    assert np.array_equal(np.asarray(Image.open(record.mask)) > 0, state.work.mask(0) > 0)
    table = (tmp_path / "set" / "Train_Folder" / "Train_text.csv").read_text()
    assert len(list(csv.reader(table.splitlines()))) == 2


def test_the_report_needs_nothing_from_elsewhere(segmenter, dicom, tmp_path):
    state = asked(segmenter, dicom, "<script>x</script> left lung", SECOND)
    page = downloads.make("report", state, segmenter, MODEL, tmp_path).read_text()
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    assert "<script" not in page
    assert page.count("data:image/png") == 3
    assert "not a medical device" in page


def test_a_picture_has_no_dicom_download_and_no_area(segmenter, png):
    state = asked(segmenter, read_upload(png, Limits()), FIRST, "  ")
    assert downloads.offered(state.work) == {"png", "json", "pair", "report"}
    assert state.work.answers(segmenter)[0].area_mm2 is None
    assert session.view(state)["left"] == ""


def test_nothing_to_segment_is_said(segmenter, dicom):
    with pytest.raises(InputError, match="choose an image first"):
        session.segment(segmenter, Session(), FIRST, "")
    with pytest.raises(InputError, match="text is empty"):
        asked(segmenter, dicom, " ")
    with pytest.raises(InputError, match="press Segment first"):
        downloads.make("png", Session().with_image(dicom), segmenter, MODEL, None)


def test_what_users_write_is_escaped(segmenter, png):
    work = asked(segmenter, read_upload(png, Limits()), "<img src=x onerror=1>").work
    assert "<img" not in texts.figures(work.answers(segmenter)[0])
    assert "<img" not in texts.problem("<img src=x>") + texts.warnings(("<img src=x>",))


def test_the_page_says_what_was_read_and_whose_sides_were_taken(segmenter, png):
    from causalseg.inference.segmenter import Segmenter

    chest = {"captions": {"reading": "chest", "sides": "viewer", "wording": "sgseg"}}
    reads = Segmenter(segmenter.model, segmenter.preprocessing, 0.5, provenance=chest)
    state = Session().with_image(read_upload(png, Limits()))
    given = {}
    for choice in texts.WHOSE_SIDES:
        sides = texts.whose_sides(choice)
        asked = session.segment(reads, state, "RLL pneumonia", "No pneumonia.", sides)
        first, second = at(asked, 0.0).work.answers(reads)
        given[choice] = first.read_as
        assert "read as: “unilateral pulmonary infection" in texts.figures(first)
        assert not second.mask.any()  # at any threshold: the text says that there is nothing
        assert "because of what the sentence says" in texts.figures(second)
    assert "lower left lung" in given["as the wording says"]
    assert given["the patient's"] == given["as the wording says"]
    assert "lower right lung" in given["the viewer's"]


def test_gradio_is_kept_from_writing_stubs_and_nobody_else_is_touched():
    import inspect

    from causalseg.apps.quick_gradio import without_stubs

    component = type("Textbox", (), {"__module__": "gradio.components.textbox"})
    before = inspect.getfile
    with without_stubs():
        with pytest.raises(OSError, match="no stubs"):
            inspect.getfile(component)
        assert inspect.getfile(Session) == session.__file__
    assert inspect.getfile is before
