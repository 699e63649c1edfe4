"""DICOM in: pixels against pydicom's own, orientation against a marked corner."""

import copy
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.formats import Display, read_study  # noqa: E402
from causalseg.inference.formats.dicom_pixels import window  # noqa: E402
from causalseg.inference.formats.orientation import display_of, letters_of, side_warnings  # noqa: E402


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_equals_pydicom(make_dicom, radiograph, function):
    path = make_dicom(
        radiograph,
        RescaleSlope=2.0,
        RescaleIntercept=-1024.0,
        WindowCenter=[2500.0, 40.0],
        WindowWidth=[3000.0, 400.0],
        VOILUTFunction=function,
    )
    dataset = pydicom.dcmread(path)
    values = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    expected = pydicom.pixels.apply_windowing(values, dataset)
    # pydicom scales to the range of the stored values after rescale; here it is 0..255.
    low, high = -1024.0, 65535 * 2.0 - 1024.0
    expected = (expected - low) / (high - low) * 255
    assert np.abs(read_study(path).frames[0] - expected).max() <= 0.51


def test_window_of_width_one_is_a_threshold():
    assert window(np.array([8.0, 9.0, 10.0, 11.0]), 10.0, 1.0).tolist() == [0, 0, 1, 1]


def test_voi_lookup_table(make_dicom):
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) % 4
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 8])
    table.add_new("LUTData", "US", [255, 10, 20, 0])
    study = read_study(make_dicom(pixels, VOILUTSequence=[table]))
    assert np.array_equal(study.frames[0], np.array([255, 10, 20, 0])[pixels])


def test_given_window_replaces_the_headers(make_dicom, radiograph):
    path = make_dicom(radiograph, WindowCenter=1.0, WindowWidth=2.0)
    frame = read_study(path, window=(2000.5, 2.0)).frames[0]
    assert np.array_equal(frame[radiograph >= 2001], np.full((radiograph >= 2001).sum(), 255))
    assert frame[radiograph <= 1999].max() == 0


def test_monochrome1_is_inverted(make_dicom, radiograph):
    plain = read_study(make_dicom(radiograph)).frames[0]
    inverted = read_study(make_dicom(radiograph, PhotometricInterpretation="MONOCHROME1")).frames[0]
    assert np.array_equal(inverted, 255 - plain)
    assert plain.min() == 0
    assert plain.max() == 255


def test_padding_is_black_and_outside_the_scale(make_dicom):
    pixels = np.full((8, 8), 100, np.int16)
    pixels[0] = -2000
    pixels[1] = 300
    path = make_dicom(pixels, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1")
    frame = read_study(path).frames[0]
    assert frame[0].max() == 0
    assert frame[1].max() == 0
    assert frame[2].min() == 255


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_transfer_syntaxes(make_dicom, radiograph, syntax):
    plain = read_study(make_dicom(radiograph)).frames[0]
    try:
        path = make_dicom(radiograph, syntax=syntax)
    except RuntimeError as error:
        pytest.skip(f"no encoder for {syntax.name}: {error}")
    assert np.array_equal(read_study(path).frames[0], plain)


def test_lossy_jpeg(make_dicom, radiograph):
    grey = (radiograph // 16).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", quality=95)
    path = make_dicom(grey, WindowCenter=128, WindowWidth=256)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(path)
    assert np.abs(read_study(path).frames[0].astype(int) - grey).max() < 12


def test_rgb_and_palette(make_dicom):
    generator = np.random.default_rng(0)
    colours = generator.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert np.array_equal(read_study(make_dicom(colours)).frames[0], colours)

    table = generator.integers(0, 256, (3, 256), dtype=np.uint16)
    indices = generator.integers(0, 256, (9, 11), dtype=np.uint8)
    attributes = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in zip(("Red", "Green", "Blue"), table, strict=True):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        attributes[f"{name}PaletteColorLookupTableData"] = (values * 257).tobytes()
    frame = read_study(make_dicom(indices, **attributes)).frames[0]
    assert np.array_equal(frame, table.T[indices])


def test_multi_frame_with_windows_of_their_own(make_dicom):
    stack = np.stack([np.full((8, 9), value, np.uint16) for value in (100, 200, 300)])
    groups = []
    for center in (100, 1000, 300):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 2
        group.FrameVOILUTSequence = [voi]
        groups.append(group)
    shared, transform = Dataset(), Dataset()
    transform.RescaleIntercept, transform.RescaleSlope = 1, 1
    shared.PixelValueTransformationSequence = [transform]
    study = read_study(
        make_dicom(
            stack,
            PerFrameFunctionalGroupsSequence=groups,
            SharedFunctionalGroupsSequence=[shared],
        )
    )
    # (x + 1 - (c - 0.5)) / 1 + 0.5 with x = 100, 200, 300: above, below and above its window.
    assert [frame[0, 0] for frame in study.frames] == [255, 0, 255]


CORNERS = {"L": -1, "R": 0, "P": -1, "A": 0, "F": -1, "H": 0}


@pytest.mark.parametrize("axes", ["LRFH", "LRPA", "PAFH"])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("turn", range(4))
def test_marker_lands_where_the_light_box_has_it(make_dicom, axes, swap, turn):
    """A marker in the right/front, head/front corner is shown at the top left, always."""
    across, down = axes[turn % 2], axes[2 + turn // 2]
    if swap:
        across, down = down, across
    pixels = np.zeros((8, 12), np.uint8)
    # Stored at the first column where columns run away from the marked side, else at the last.
    pixels[0 if CORNERS[down] else -1, 0 if CORNERS[across] else -1] = 9
    study = read_study(make_dicom(pixels, PatientOrientation=[across, down]))
    shown = study.frames[0]
    assert shown.shape == ((12, 8) if swap else (8, 12))
    assert shown[0, 0] == 255
    assert np.array_equal(study.display.undo(shown), (pixels > 0) * 255)
    assert study.spacing == ((0.25, 0.5) if swap else (0.5, 0.25))
    assert any("stored with columns" in note for note in study.warnings) != study.display.identity


@given(
    display=st.builds(Display, st.booleans(), st.booleans(), st.booleans()),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_undo_is_the_inverse(display, shape):
    frame = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(display.undo(display.apply(frame)), frame)
    assert np.array_equal(display.apply(display.undo(frame)), frame)


def test_image_orientation_goes_before_patient_orientation(make_dicom):
    pixels = np.zeros((8, 8), np.uint16)
    path = make_dicom(
        pixels, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0], PatientOrientation=["L", "P"]
    )
    assert read_study(path).display == Display(flip_columns=True)
    assert letters_of([0.1, -0.9, 0.3]) == "A"
    assert display_of("L", "R") is None


@pytest.mark.parametrize("orientation", [None, [], ["X", "F"], ["L"], ["L", "R"]])
def test_missing_orientation_is_taken_as_stored_and_said(make_dicom, orientation):
    study = read_study(
        make_dicom(np.zeros((8, 8), np.uint8), PatientOrientation=orientation, ViewPosition="PA")
    )
    assert study.display.identity
    assert not study.oriented
    assert any("sides are unconfirmed" in note for note in study.warnings)


def test_sides_are_judged_by_the_header(make_dicom):
    study = read_study(
        make_dicom(np.zeros((8, 8), np.uint8), ImageLaterality="R", ViewPosition="LL")
    )
    assert study.laterality == "R"
    assert study.lateral_view
    both = read_study(make_dicom(np.zeros((8, 8), np.uint8), ImageLaterality="B"))
    assert both.laterality is None
    assert not both.lateral_view
    said = side_warnings(frozenset({"left"}), "R", True, False)
    assert any("right side only" in note for note in said)
    assert any("lateral view" in note for note in said)
    assert any("does not confirm" in note for note in said)
    assert side_warnings(frozenset(), "R", True, False) == []
    assert side_warnings(frozenset({"right"}), "R", False, True) == []
    assert len(side_warnings(None, "R", False, True)) == 2


def test_spacing_of_the_detector_is_said(make_dicom):
    pixels = np.zeros((8, 8), np.uint8)
    study = read_study(make_dicom(pixels, PixelSpacing=None, ImagerPixelSpacing=[0.1, 0.2]))
    assert study.spacing == (0.1, 0.2)
    assert any("magnified" in note for note in study.warnings)
    assert read_study(make_dicom(pixels, PixelSpacing=None)).spacing is None
    assert read_study(make_dicom(pixels, PixelSpacing=[0, -1])).spacing is None


def test_found_by_content_and_without_preamble(make_dicom, tmp_path):
    path = make_dicom(np.zeros((8, 8), np.uint8))
    renamed = tmp_path / "picture.png"
    renamed.write_bytes(path.read_bytes())
    assert read_study(renamed).kind == "dicom"
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[132:])
    assert read_study(bare).modality == "CR"


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "MR_small_bigendian",
        "MR_small_implicit",
        "MR_small_expb",
        "MR_small_padded",
    ],
)
def test_pydicoms_own_files_agree(name):
    """One real slice in many transfer syntaxes."""
    from pydicom.data import get_testdata_file

    expected = read_study(get_testdata_file("MR_small.dcm", download=False))
    study = read_study(get_testdata_file(f"{name}.dcm", download=False))
    assert np.array_equal(study.frames[0], expected.frames[0])
    assert study.modality == "MR"
    assert study.oriented
    assert study.spacing == (0.3125, 0.3125)


@pytest.mark.parametrize("implicit", [False, True])
def test_old_files_without_any_preamble(make_dicom, radiograph, tmp_path, implicit):
    path = make_dicom(radiograph)
    dataset = pydicom.dcmread(path)
    dataset.file_meta = FileMetaDataset()
    dataset.preamble = None
    bare = tmp_path / "bare.ima"
    dataset.save_as(bare, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert bare.read_bytes()[:2] == b"\x08\x00"
    assert np.array_equal(read_study(bare).frames[0], read_study(path).frames[0])


def test_a_dataset_is_not_changed_by_reading(make_dicom, radiograph):
    path = make_dicom(radiograph, PatientOrientation=["R", "F"])
    before = copy.deepcopy(pydicom.dcmread(path))
    study = read_study(path)
    assert study.source.PixelData == before.PixelData
    assert study.source.PatientOrientation == before.PatientOrientation


def test_a_dicom_path_in_python_is_answered_as_it_is_stored(make_dicom, radiograph, segmenter):
    """Turned for the model, and turned back: the arrays have the file's rows and columns."""
    path = make_dicom(radiograph, PatientOrientation=["F", "R"])
    study = read_study(path)
    result = segmenter(path, "lower left lung")
    assert result.mask.shape == radiograph.shape
    assert np.array_equal(study.display.apply(result.image), study.frames[0])
    assert set(study.warnings) <= set(result.warnings)
    cine = make_dicom(np.zeros((3, 8, 9), np.uint8))
    with pytest.raises(InputError, match="3 frames"):
        segmenter(cine, "x")
