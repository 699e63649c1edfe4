"""DICOM SEG out: read again by highdicom and checked by a public validator where there is one."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")

from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, generate_uid  # noqa: E402

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.domain import domain_warnings  # noqa: E402
from causalseg.inference.formats import read_study  # noqa: E402
from causalseg.inference.formats.codes import parse_concept  # noqa: E402
from causalseg.inference.formats.seg import (  # noqa: E402
    ANATOMY,
    Concept,
    can_write,
    write_seg,
)
from causalseg.inference.formats.seg_source import (  # noqa: E402
    UnfitSourceError,
    named_attributes,
)

PYDICOMS_OWN = Path(pydicom.data.__file__).parent / "test_files"
PROMPTS = [
    "one infected area, lower left lung.",
    "nothing at all",
    "Größe \N{GREEK SMALL LETTER MU}",
]


def answers(shape, seg_type):
    generator = np.random.default_rng(4)
    values = [generator.random((1, *shape)).astype(np.float32) for _ in PROMPTS]
    values[1][:] = 0
    return values if seg_type == "fractional" else [(v > 0.7).astype(np.uint8) for v in values]


@pytest.mark.parametrize("seg_type", ["binary", "fractional"])
@pytest.mark.parametrize("orientation", [["L", "F"], ["R", "F"], ["H", "R"]])
def test_pixel_for_pixel_in_the_sources_geometry(
    make_dicom, radiograph, tmp_path, seg_type, orientation
):
    study = read_study(make_dicom(radiograph, PatientOrientation=orientation))
    arrays = answers(study.shape, seg_type)
    path = tmp_path / "seg.dcm"
    write_seg(study, PROMPTS, arrays, path, seg_type=seg_type, model="abc")

    seg = highdicom.seg.segread(path)
    stored = seg.get_pixels_by_source_instance([study.source.SOPInstanceUID])
    expected = np.stack([study.display.undo(array[0]) for array in arrays], axis=-1)
    assert stored.shape == (1, *radiograph.shape, 3)
    assert np.abs(stored[0] - expected).max() <= (0.501 / 255 if seg_type == "fractional" else 0)
    assert [s.SegmentDescription for s in seg.SegmentSequence] == PROMPTS
    first = seg.SegmentSequence[0]
    assert first.AnatomicRegionSequence[0].CodeValue == "39607008"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    assert seg.PatientID == study.source.PatientID
    assert seg.StudyInstanceUID == study.source.StudyInstanceUID
    assert list(seg.PatientOrientation) == orientation
    reference = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert reference.ReferencedSOPInstanceUID == study.source.SOPInstanceUID


def ct_attributes(number: int, frame_of_reference: str) -> dict[str, object]:
    return {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
        "FrameOfReferenceUID": frame_of_reference,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, float(number)],
        "SliceThickness": 1,
        "PositionReferenceIndicator": "",
    }


def enhanced_mr(frames: int) -> dict[str, object]:
    """The functional groups that place each frame in space."""
    shared = Dataset()
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.5], 2
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    groups = []
    for number in range(frames):
        group, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 2.0 * number]
        content.DimensionIndexValues = [number + 1]
        group.PlanePositionSequence, group.FrameContentSequence = [position], [content]
        groups.append(group)
    organization, index = Dataset(), Dataset()
    organization.DimensionOrganizationUID = generate_uid()
    index.DimensionOrganizationUID = organization.DimensionOrganizationUID
    index.DimensionIndexPointer, index.FunctionalGroupPointer = 0x00200032, 0x00209113
    return {
        "SOPClassUID": EnhancedMRImageStorage,
        "Modality": "MR",
        "FrameOfReferenceUID": generate_uid(),
        "PositionReferenceIndicator": "",
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": groups,
        "DimensionOrganizationSequence": [organization],
        "DimensionIndexSequence": [index],
        "PixelSpacing": None,
        "PatientOrientation": None,
    }


def test_multi_frame_source_with_a_frame_of_reference(make_dicom, tmp_path):
    stack = np.random.default_rng(5).integers(0, 4000, (4, 10, 12), dtype=np.uint16)
    study = read_study(make_dicom(stack, **enhanced_mr(4)))
    assert study.oriented
    assert study.spacing == (1.5, 1.5)
    assert can_write(study)
    mask = (np.random.default_rng(6).random((4, 10, 12)) > 0.5).astype(np.uint8)
    path = tmp_path / "seg.dcm"
    write_seg(study, ["all"], [mask], path)
    stored = highdicom.seg.segread(path).get_pixels_by_source_frame(
        study.source.SOPInstanceUID, [1, 2, 3, 4]
    )
    assert np.array_equal(stored[..., 0], mask)


def test_cine_without_a_frame_of_reference_is_refused(make_dicom, tmp_path):
    study = read_study(make_dicom(np.zeros((3, 8, 9), np.uint8)))
    assert not can_write(study)
    with pytest.raises(InputError, match="frame of reference"):
        write_seg(study, ["a"], [np.zeros((3, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    assert not (tmp_path / "seg.dcm").exists()


def test_a_source_without_identity_is_refused(make_dicom, tmp_path):
    study = read_study(make_dicom(np.zeros((8, 9), np.uint8), StudyInstanceUID=None))
    with pytest.raises(InputError, match="StudyInstanceUID"):
        write_seg(study, ["a"], [np.zeros((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")


def test_empty_type_2_attributes_are_filled_in(make_dicom, tmp_path):
    study = read_study(
        make_dicom(np.zeros((8, 9), np.uint8), PatientID=None, StudyDate=None, AccessionNumber=None)
    )
    write_seg(study, ["a"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    assert highdicom.seg.segread(tmp_path / "seg.dcm").PatientID == ""


def test_names_in_another_character_set_survive(make_dicom, tmp_path):
    path = make_dicom(
        np.zeros((8, 9), np.uint8), SpecificCharacterSet="ISO_IR 100", PatientName="M\xfcller^A"
    )
    study = read_study(path)
    assert b"M\xfcller" in path.read_bytes()
    write_seg(study, ["\u80ba"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    assert str(seg.PatientName) == "M\xfcller^A"
    assert seg.SegmentSequence[0].SegmentDescription == "\u80ba"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 6", "Doe^Jane"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        (["", "ISO 2022 IR 87"], "Doe^Jane"),
    ],
)
def test_names_in_every_character_set(make_dicom, tmp_path, charset, name):
    study = read_study(
        make_dicom(np.zeros((8, 9), np.uint8), SpecificCharacterSet=charset, PatientName=name)
    )
    write_seg(study, ["a"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    assert str(highdicom.seg.segread(tmp_path / "seg.dcm").PatientName) == name


@pytest.mark.parametrize(
    ("attribute", "loose", "mended"),
    [
        ("PatientSex", "Male", "M"),
        ("PatientSex", "unknown", ""),
        ("PatientBirthDate", "1970-01-31", "19700131"),
        ("PatientBirthDate", "1970-02-31", ""),
        ("StudyDate", "2020.01.02", "20200102"),
        ("StudyTime", "14:04:38", "140438"),
        ("StudyTime", "9:05", "0905"),
        ("StudyTime", "noon", ""),
        ("PatientAge", "45", "045Y"),
    ],
)
def test_loose_values_are_mended_in_the_copy_alone(
    make_dicom, tmp_path, secret, attribute, loose, mended
):
    path = make_dicom(np.zeros((8, 9), np.uint8))
    dataset = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        setattr(dataset, attribute, loose)
        dataset.save_as(path)
    study = read_study(path)
    notes = write_seg(study, ["a"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert str(seg[attribute].value or "") == mended
    assert str(study.source[attribute].value) == loose
    assert any(attribute in note for note in notes)
    assert loose not in " ".join(notes)


def test_a_seg_of_every_file_at_hand_opens_in_highdicom(tmp_path):
    """Whatever pydicom's own test files hold: a SEG that opens, or what the header lacks."""
    written, path = 0, tmp_path / "seg.dcm"
    for file in sorted(PYDICOMS_OWN.glob("*.dcm")):
        try:
            study = read_study(file)
        except InputError:
            continue
        mask = np.zeros((len(study.frames), *study.shape), np.uint8)
        mask[:, 2:5, 3:7] = 1
        if not study.source.get("StudyInstanceUID"):
            with pytest.raises(UnfitSourceError, match="StudyInstanceUID"):
                write_seg(study, ["a"], [mask], path)
            continue
        if not can_write(study):
            continue
        write_seg(study, ["a"], [mask], path)
        written += 1
        seg = highdicom.seg.segread(path)
        if study.source.get("PixelSpacing"):
            measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
            assert list(measures.PixelSpacing) == list(study.source.PixelSpacing)
        if len(study.frames) == 1:
            stored = seg.get_pixels_by_source_instance([study.source.SOPInstanceUID])
            assert np.array_equal(stored[0, ..., 0], study.display.undo(mask[0]))
    assert written >= 35


def test_a_doubled_value_and_a_wrong_representation_are_mended(make_dicom, tmp_path):
    path = make_dicom(np.zeros((8, 9), np.uint8), PatientID="AB\\CD")
    content = path.read_bytes()
    assert b"\x08\x00\x20\x00DA" in content
    path.write_bytes(content.replace(b"\x08\x00\x20\x00DA", b"\x08\x00\x20\x00PN", 1))
    write_seg(read_study(path), ["a"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert seg.PatientID == "AB/CD"
    assert str(seg.StudyDate) == "20260101"


def test_a_radiograph_with_a_frame_of_reference_and_no_place_in_it(make_dicom, tmp_path):
    study = read_study(make_dicom(np.zeros((8, 9), np.uint8), FrameOfReferenceUID=generate_uid()))
    write_seg(study, ["a"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    assert "FrameOfReferenceUID" not in highdicom.seg.segread(tmp_path / "seg.dcm")
    assert "FrameOfReferenceUID" in study.source


def test_a_refusal_names_the_attribute(make_dicom, tmp_path, secret):
    attributes = ct_attributes(0, generate_uid()) | {"ImagePositionPatient": None}
    del attributes["ImagePositionPatient"]
    study = read_study(make_dicom(np.zeros((8, 9), np.uint8), **attributes))
    with pytest.raises(UnfitSourceError, match="ImagePositionPatient") as caught:
        write_seg(study, ["a"], [np.ones((1, 8, 9), np.uint8)], tmp_path / "seg.dcm")
    assert secret not in str(caught.value)
    said = "'Dataset' of Zzyzx^Patient has no attribute 'ImagePositionPatient'"
    assert named_attributes(said, study.source) == ["ImagePositionPatient"]
    assert "ImagePositionPatient" in named_attributes("something else", study.source)


def test_the_label_says_what_was_asked_and_the_algorithm_which_model(make_dicom, tmp_path):
    study = read_study(make_dicom(np.zeros((8, 9), np.uint8)))
    mask = np.ones((1, 8, 9), np.uint8)
    prompts = ["lower left lung", "a\\b", "x" * 100]
    write_seg(study, prompts, [mask] * 3, tmp_path / "seg.dcm", model="sha256:abc")
    segments = highdicom.seg.segread(tmp_path / "seg.dcm").SegmentSequence
    labels = [segment.SegmentLabel for segment in segments]
    assert labels == ["lower left lung", "a/b", "x" * 61 + "..."]
    assert [segment.SegmentDescription for segment in segments] == prompts
    algorithm = segments[0].SegmentationAlgorithmIdentificationSequence[0]
    assert "sha256:abc" in str(algorithm.AlgorithmParameters)


def test_notes_that_a_description_cannot_hold_stand_in_the_comments(make_dicom, tmp_path):
    study = read_study(make_dicom(np.zeros((8, 9), np.uint8)))
    mask, path = np.ones((1, 8, 9), np.uint8), tmp_path / "seg.dcm"
    notes = [["a short note."], [f"note {i}: {'word ' * 30}".strip() for i in range(10)]]
    write_seg(study, ["left", "p" * 700], [mask] * 2, path, notes=notes)
    seg = highdicom.seg.segread(path)
    short, long = (str(one.SegmentDescription) for one in seg.SegmentSequence)
    assert short == "left | a short note."
    assert len(long) <= 1024
    assert long.startswith("p" * 700 + " | note 0")
    assert long.endswith("| more: see Image Comments")
    comments = str(seg.ImageComments)
    assert "segment 1: a short note." in comments
    assert all(f"segment 2: {note}" in comments for note in notes[1])

    write_seg(study, ["x" * 1024], [mask], path, notes=[["y" * 20_000]])
    seg = highdicom.seg.segread(path)
    assert str(seg.SegmentSequence[0].SegmentDescription) == "x" * 1024
    assert len(str(seg.ImageComments)) == 10240


@pytest.mark.parametrize("part", ["LUNG", "THORAX", "CHEST"])
def test_three_words_for_the_chest_are_one(make_dicom, part):
    study = read_study(make_dicom(np.zeros((8, 9), np.uint8), BodyPartExamined=part))
    trained = {"modalities": ["CR"], "body_parts": ["CHEST"]}
    assert domain_warnings(study, trained) == []
    assert len(domain_warnings(study, trained | {"body_parts": ["ABDOMEN"]})) == 1
    assert ANATOMY[part].meaning == "Lung"


def test_codes_from_the_command_line():
    assert parse_concept("SCT:52988006:Lesion: large", "--finding") == Concept(
        "52988006", "SCT", "Lesion: large"
    )
    for text in ("", "SCT:1", "SCT::x", f"{'S' * 17}:1:x", f"SCT:1:{'x' * 65}"):
        with pytest.raises(InputError, match="--finding"):
            parse_concept(text, "--finding")


@pytest.mark.parametrize("seg_type", ["binary", "fractional"])
@pytest.mark.parametrize(
    "source",
    ["radiograph", "unspaced", "unoriented", "ct", "CT_small", "examples_palette", "JPEG2000"],
)
def test_validator_finds_no_error(make_dicom, radiograph, tmp_path, seg_type, source):
    """dciodvfy of dicom3tools checks the modules of the standard."""
    dciodvfy = shutil.which("dciodvfy")
    if dciodvfy is None:
        pytest.skip("dciodvfy is absent: install the package dicom3tools")
    made = {
        "radiograph": {},
        "unspaced": {"PixelSpacing": None},
        "unoriented": {"PatientOrientation": None},
        "ct": ct_attributes(0, generate_uid()),
    }
    if source in made:
        study = read_study(make_dicom(radiograph, **made[source]))
    else:
        study = read_study(get_testdata_file(f"{source}.dcm", download=False))
    path = tmp_path / "seg.dcm"
    prompts = PROMPTS[:2]
    write_seg(study, prompts, answers(study.shape, seg_type)[:2], path, seg_type=seg_type)
    report = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
    lines = (report.stdout + report.stderr).splitlines()
    assert "Segmentation" in lines
    assert [line for line in lines if line.startswith("Error")] == []
