"""`causalseg predict` on DICOM and NIfTI: geometry, formats, and no patient data in the open."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.files import sha256_of
from causalseg.inference.formats import read_study

TEXT = "one infected area, lower left lung."


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_dicom_is_answered_in_dicom(predict, segmenter, make_dicom, radiograph, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    path = make_dicom(radiograph, PatientOrientation=["R", "F"])
    assert predict(path, "--text", TEXT, "--finding", "SCT:233604007:Pneumonia") == 0
    (folder,) = (tmp_path / "out").glob("scan-*")
    record = result(folder)
    shown = read_study(path).frames[0]
    expected = segmenter(shown, TEXT).mask[:, ::-1]
    seg = pydicom.dcmread(folder / "segmentation.dcm")
    assert np.array_equal(seg.pixel_array.reshape(radiograph.shape), expected)
    code = seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert code.CodeValue == "233604007"
    assert record["masks"][0]["area_mm2"] == pytest.approx(expected.sum() * 0.125)
    assert record["display"]["flipped_columns"] is True
    assert any("mirrored" in note for note in record["warnings"])
    assert any("training captions" in note for note in record["masks"][0]["warnings"])
    overlay = np.asarray(Image.open(folder / "1_overlay.png"))
    outside = expected == 0
    assert np.array_equal(overlay[..., 0][outside], shown[:, ::-1][outside])


def test_cine_is_answered_in_numbered_pictures(predict, make_dicom, tmp_path):
    path = make_dicom(np.random.default_rng(0).integers(0, 255, (3, 9, 12), dtype=np.uint8))
    assert predict(path, "--text", "x") == 0
    (folder,) = (tmp_path / "out").glob("scan-*")
    assert sorted(p.name for p in folder.glob("*mask*")) == [
        f"1_mask_{n:04d}.png" for n in range(3)
    ]
    assert any("frame of reference" in note for note in result(folder)["warnings"])
    assert predict(path, "--text", "x", "--format", "seg", out="other") == 2


def test_a_header_that_cannot_be_referred_to_is_answered_in_png(predict, make_dicom, radiograph):
    path = make_dicom(radiograph, StudyInstanceUID=None, PatientOrientation=["R", "F"])
    assert predict(path, "--text", "x") == 0
    (folder,) = (path.parent / "out").glob("scan-*")
    mask = np.asarray(Image.open(folder / "1_mask.png"))
    overlay = np.asarray(Image.open(folder / "1_overlay.png"))
    shown = read_study(path).frames[0][:, ::-1]
    assert np.array_equal(overlay[..., 0][mask == 0], shown[mask == 0])
    assert not (folder / "segmentation.dcm").exists()
    assert any("in place of DICOM SEG" in note for note in result(folder)["warnings"])
    assert predict(path, "--text", "x", "--format", "seg", out="other") == 2


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # of making the files
def test_patient_data_stays_in_dicom(predict, make_dicom, radiograph, tmp_path, capfd, secret):
    """Not in the output, file names, pictures' metadata or the index; only in the SEG itself."""
    good = make_dicom(radiograph, ImageComments=secret, ViewPosition=secret)
    odd = make_dicom(radiograph, WindowCenter=1, WindowWidth=9, VOILUTFunction=secret)
    fine = make_dicom(radiograph, PatientOrientation=[secret, secret], Modality=f"{secret}^x")
    broken = make_dicom(radiograph)
    broken.write_bytes(broken.read_bytes()[:-500])
    absent = tmp_path / f"{secret}.dcm"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert predict(good, odd, fine, broken, absent, "--text", "left lung") == 1
    said = "".join(capfd.readouterr()) + " ".join(str(w.message) for w in caught)
    assert secret.lower() not in said.lower()
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert any(path.name == "segmentation.dcm" for path in written)
    for path in written:
        assert secret.lower() not in str(path.relative_to(tmp_path / "out")).lower()
        if path.suffix != ".dcm":
            assert secret.lower().encode() not in path.read_bytes().lower()
        if path.name == "result.json":
            (digest,) = result(path.parent)["files"]
            assert digest in {sha256_of(one) for one in (good, odd, fine)}


def test_volumes_with_a_prompt_a_slice(predict, segmenter, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).integers(0, 256, (12, 10, 4), dtype=np.uint8)
    nibabel.Nifti1Image(values, np.diag([-1.0, -1, 1, 1])).to_filename(tmp_path / "v.nii.gz")
    (tmp_path / "t.csv").write_text(
        "image,text,slice\nv.nii.gz,whole,\nv.nii.gz,first,0\nv.nii.gz,third,2\n"
    )
    assert predict("--prompts", tmp_path / "t.csv") == 0
    (folder,) = (tmp_path / "out").glob("scan-*")
    frames = read_study(tmp_path / "v.nii.gz").frames
    whole = np.asarray(nibabel.load(folder / "1_mask.nii.gz").dataobj)
    sliced = np.asarray(nibabel.load(folder / "2_mask.nii.gz").dataobj)
    for number, frame in enumerate(frames):
        # This affine is LPS with the slices going up: a slice of the file is shown transposed.
        assert np.array_equal(whole[:, :, number].T, segmenter(frame, "whole").mask)
        text = {0: "first", 2: "third"}.get(number)
        expected = segmenter(frame, text).mask if text else np.zeros((10, 12))
        assert np.array_equal(sliced[:, :, number].T, expected)
    record = result(folder)["masks"]
    assert record[1]["slices"] == [0, 2]
    assert record[1]["text"] == "slice 0: first; slice 2: third"
    assert record[0]["volume_mm3"] == whole.sum()
