"""The page's work without a page."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from causalseg.apps import rle, session, texts
from causalseg.apps.limits import Limits, read_upload
from causalseg.errors import InputError
from causalseg.evaluation.metrics import dice

FIRST, SECOND = "upper left lung", "lower right lung"


@pytest.fixture
def dicom(pixels, make_dicom):
    """Stored mirrored, so that what is shown differs from what is stored."""
    stored = np.ascontiguousarray(pixels[:, ::-1])
    return read_upload(make_dicom(stored, PatientOrientation=["R", "F"]), Limits())


def test_views_follow_the_threshold_and_the_edit(segmenter, dicom, pixels):
    work = session.segment(segmenter, dicom, FIRST, SECOND)
    views = session.draw(segmenter, work, segmenter.threshold)
    masks = [result.mask for result in segmenter.prompts(pixels, [FIRST, SECOND])]
    for answer, mask in zip(views.answers, masks, strict=True):
        assert np.array_equal(answer.mask, mask[:, ::-1])
        assert answer.area_mm2 == pytest.approx(mask.sum() * 0.125)
    assert views.agreement == pytest.approx(float(dice(masks[0] > 0, masks[1] > 0)))
    grey = np.repeat(pixels[..., None], 3, axis=2)
    assert np.array_equal(views.overlays[0][masks[0] == 0], grey[masks[0] == 0])
    nothing = session.draw(segmenter, work, 1.0)
    assert not nothing.answers[0].mask.any()
    assert np.array_equal(nothing.overlays[0], grey)
    assert nothing.agreement == 1.0


def test_causal_and_confounder_maps_are_two_parts_of_one_whole(segmenter, dicom, pixels):
    views = session.draw(segmenter, session.segment(segmenter, dicom, FIRST, ""), 0.5)
    attention = segmenter(pixels, FIRST).attention
    assert views.agreement is None
    assert views.causal.shape == views.confounder.shape == (*pixels.shape, 3)
    # On a black image only the tint is left: its strength is the map's.
    black = read_upload(_png(np.zeros_like(pixels)), Limits())
    seen = session.draw(segmenter, session.segment(segmenter, black, FIRST, ""), 0.5)
    causal, rest = seen.causal[..., 0] / 230, seen.confounder[..., 2] / 178
    assert np.allclose(causal + rest, 0.75, atol=0.01)
    assert set(attention) == {"stage2", "stage3", "stage4"}


def _png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def test_downloads_hold_both_masks_in_the_source_s_geometry(segmenter, dicom, tmp_path):
    from causalseg.inference.formats.seg import read_seg

    work = session.segment(segmenter, dicom, FIRST, SECOND)
    views = session.draw(segmenter, work, segmenter.threshold)
    found = session.write_downloads(work, views, tmp_path / "out", "tiny")
    assert set(found) == {"png", "edited", "dicom", "json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {p.name for p in found.values()}
    masks = [answer.mask for answer in views.answers]
    assert np.array_equal(np.asarray(Image.open(found["png"])) // 255, masks[0])
    assert np.array_equal(np.asarray(Image.open(found["edited"])) // 255, masks[1])
    seg = read_seg(found["dicom"])
    assert np.array_equal(seg[0, ..., 0], masks[0])
    assert np.array_equal(seg[0, ..., 1], masks[1])
    record = json.loads(found["json"].read_text())
    assert np.array_equal(rle.decode(record["masks"][1]["mask"]), masks[1])
    assert record["dice_between_masks"] == views.agreement
    assert "Doe" not in found["json"].read_text()


def test_a_picture_has_no_dicom_download_and_no_area(segmenter, png, tmp_path):
    work = session.segment(segmenter, read_upload(png, Limits()), FIRST, "  ")
    views = session.draw(segmenter, work, 0.5)
    assert set(session.write_downloads(work, views, tmp_path, "tiny")) == {"png", "json"}
    assert views.answers[0].area_mm2 is None


def test_a_large_image_is_shown_small_and_answered_whole(segmenter):
    image = np.zeros((900, 1600), np.uint8)
    work = session.segment(segmenter, read_upload(_png(image), Limits()), FIRST, "")
    views = session.draw(segmenter, work, 0.5)
    assert views.overlays[0].shape == views.causal.shape == (432, 768, 3)
    assert views.answers[0].mask.shape == (900, 1600)


def test_nothing_to_segment_is_said(segmenter, dicom):
    with pytest.raises(InputError, match="choose an image first"):
        session.segment(segmenter, None, FIRST, "")
    with pytest.raises(InputError, match="text is empty"):
        session.segment(segmenter, dicom, " ", "")


def test_what_users_write_is_escaped(segmenter, png):
    work = session.segment(segmenter, read_upload(png, Limits()), "<img src=x onerror=1>", "")
    views = session.draw(segmenter, work, 0.5)
    assert "<img" not in texts.figures(views.answers[0])
    assert "<img" not in texts.problem("<img src=x>") + texts.warnings(("<img src=x>",))


def test_the_page_says_what_was_read_and_whose_sides_were_taken(segmenter, png):
    from causalseg.inference.segmenter import Segmenter

    chest = {"captions": {"reading": "chest", "sides": "viewer", "wording": "sgseg"}}
    reads = Segmenter(segmenter.model, segmenter.preprocessing, 0.5, provenance=chest)
    study = read_upload(png, Limits())
    given = {}
    for choice in texts.SIDES:
        sides = texts.whose_sides(choice)
        work = session.segment(reads, study, "RLL pneumonia", "No pneumonia.", sides)
        first, second = session.draw(reads, work, 0.0).answers
        given[choice] = first.read_as
        assert "read as: “unilateral pulmonary infection" in texts.figures(first)
        assert not second.mask.any()  # at any threshold: the text says that there is nothing
    assert "lower left lung" in given["as the wording says"]
    assert given["the patient's"] == given["as the wording says"]
    assert "lower right lung" in given["the viewer's"]
