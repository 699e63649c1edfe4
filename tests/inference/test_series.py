"""The slices of a DICOM series: one study, in order, one SEG."""

import json

import numpy as np
import pytest

highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")

from pydicom.uid import CTImageStorage, generate_uid  # noqa: E402

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.formats import read_study  # noqa: E402
from causalseg.inference.formats.seg import write_seg  # noqa: E402
from causalseg.inference.formats.series import group_series  # noqa: E402

VOLUME = np.random.default_rng(7).integers(0, 2000, (5, 12, 16)).astype(np.int16)
ORDER = [3, 0, 4, 1, 2]


@pytest.fixture
def make_series(make_dicom, tmp_path):
    """A folder of slices, named out of order; heights give the place of each."""

    def make(name="ct", heights=range(0, 15, 3), frame_of_reference=True, **attributes):
        folder = tmp_path / name
        folder.mkdir()
        shared = {
            "SOPClassUID": CTImageStorage,
            "Modality": "CT",
            "SeriesInstanceUID": generate_uid(),
            "StudyInstanceUID": generate_uid(),
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PositionReferenceIndicator": "",
            "WindowCenter": 1000,
            "WindowWidth": 2001,
            **({"FrameOfReferenceUID": generate_uid()} if frame_of_reference else {}),
            **attributes,
        }
        for number, (values, height) in enumerate(zip(VOLUME, heights, strict=True)):
            place = {"ImagePositionPatient": [0, 0, float(height)], "InstanceNumber": number + 1}
            make_dicom(values, **shared, **place).rename(folder / f"{ORDER[number]}.dcm")
        return folder

    return make


def test_slices_come_in_the_order_of_their_places(make_series):
    folder = make_series()
    study = read_study(folder)
    assert len(study.frames) == 5
    for frame, values in zip(study.frames, VOLUME, strict=True):
        assert np.abs(frame - values / 2000 * 255).max() <= 1
    assert study.thickness == pytest.approx(3)
    assert [int(source.InstanceNumber) for source in study.sources] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("frame_of_reference", [True, False])
@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, 1, 0]])
def test_one_seg_refers_to_every_slice(make_series, tmp_path, frame_of_reference, orientation):
    folder = make_series(frame_of_reference=frame_of_reference, ImageOrientationPatient=orientation)
    study = read_study(folder)
    masks = [
        np.stack([frame > level for frame in study.frames]).astype(np.uint8) for level in (100, 200)
    ]
    path = tmp_path / "seg.dcm"
    write_seg(study, ["a", "b"], masks, path)
    seg = highdicom.seg.segread(path)
    uids = [source.SOPInstanceUID for source in study.sources]
    stored = seg.get_pixels_by_source_instance(uids)
    for number, mask in enumerate(masks):
        expected = np.stack([study.display.undo(frame) for frame in mask])
        assert np.array_equal(stored[..., number], expected)


def test_predict_takes_a_folder_of_series_and_a_prompt_a_slice(make_series, predict, tmp_path):
    first, second = make_series("one"), make_series("two")
    assert len(group_series(sorted([*first.iterdir(), *second.iterdir()]))) == 2
    (tmp_path / "both").mkdir()
    for folder in (first, second):
        for file in folder.iterdir():
            file.rename(tmp_path / "both" / f"{folder.name}-{file.name}")
    assert predict(tmp_path / "both", "--text", "x") == 0
    results = sorted((tmp_path / "out").glob("scan-*/result.json"))
    assert len(results) == 2
    record = json.loads(results[0].read_text())
    assert record["format"] == "seg"
    assert record["frames"] == 5
    assert len(record["files"]) == 5
    assert predict(tmp_path / "both", "--text", "x", "--resume") == 0

    third = make_series("three")
    table = tmp_path / "slices.csv"
    table.write_text("image,text,slice\nthree,upper,0\nthree,lower,4\n")
    assert predict("--prompts", table, out="by-slice") == 0
    (path,) = (tmp_path / "by-slice").glob("scan-*/segmentation.dcm")
    segments = highdicom.seg.segread(path).SegmentSequence
    described = [str(s.SegmentDescription).split(" | ")[0] for s in segments]
    assert described == ["slice 0: upper; slice 4: lower"]
    assert third.is_dir()


def test_what_is_no_series_is_refused(make_series, make_dicom, tmp_path):
    with pytest.raises(InputError, match="one place"):
        read_study(make_series("twice", [0, 3, 3, 6, 9]))
    uneven = read_study(make_series("uneven", [0, 3, 6, 12, 15]))
    assert uneven.thickness is None
    assert any("evenly" in note for note in uneven.warnings)
    mixed = make_series("mixed")
    make_dicom(VOLUME[0]).rename(mixed / "9.dcm")
    with pytest.raises(InputError, match="2 DICOM images or series"):
        read_study(mixed)
    views = tmp_path / "views"
    views.mkdir()
    series = generate_uid()
    for number in range(2):  # a front and a side view have no place in space
        make_dicom(VOLUME[0], SeriesInstanceUID=series).rename(views / f"{number}.dcm")
    assert [len(group) for group in group_series(sorted(views.iterdir()))] == [1, 1]
