"""Headers as they come: each kind is shown as it is meant, with a warning, or refused."""

import io

import numpy as np
import pytest
from PIL import Image

pydicom = pytest.importorskip("pydicom")

from pydicom.dataelem import DataElement  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.encaps import encapsulate, generate_frames  # noqa: E402
from pydicom.uid import JPEGBaseline8Bit, JPEGLSLossless  # noqa: E402

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.formats import Display, read_study  # noqa: E402
from causalseg.inference.formats.dicom_tables import Table, bits_used  # noqa: E402

RAMP = np.tile(np.arange(16, dtype=np.uint16) * 256, (16, 1))
FULL = np.rint(np.arange(16) / 15 * 255)


def row(study) -> np.ndarray:
    return study.frames[0][0].astype(int)


def said(study, word: str) -> bool:
    return any(word in note for note in study.warnings)


def item(**attributes) -> Dataset:
    dataset = Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def table(first, bits, entries, vr="US") -> list[Dataset]:
    made = Dataset()
    made.add(DataElement(0x00283002, vr, [len(entries) % 65536, first, bits]))
    made.add(DataElement(0x00283006, "OW", np.asarray(entries, "<u2").tobytes()))
    return [made]


SIGNED = (RAMP.astype(np.int32) - 1000).astype(np.int16)
SIGNED[:, :3], SIGNED[:, 3] = -2000, -1500


@pytest.mark.parametrize(
    ("attributes", "padded"),
    [
        ({"PixelPaddingValue": -2000}, 3),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}, 4),
        ({"PixelPaddingValue": -1500, "PixelPaddingRangeLimit": -2000}, 4),
    ],
)
def test_padding_is_black_and_leaves_the_scale_alone(make_dicom, attributes, padded):
    shown = row(read_study(make_dicom(SIGNED, **attributes)))
    valid = SIGNED[0, padded:].astype(float)
    expected = np.rint((valid - valid.min()) / (valid.max() - valid.min()) * 255)
    assert shown[:padded].tolist() == [0] * padded
    assert np.array_equal(shown[padded:], expected)


def test_padding_with_the_wrong_value_representation(make_dicom):
    dataset = pydicom.dcmread(make_dicom(SIGNED))
    dataset.add(DataElement(0x00280120, "US", 63536))  # -2000 as unsigned
    path = make_dicom(SIGNED)
    dataset.save_as(path)
    assert np.array_equal(
        row(read_study(path)), row(read_study(make_dicom(SIGNED, PixelPaddingValue=-2000)))
    )


def test_an_image_of_padding_alone_is_shown(make_dicom):
    study = read_study(make_dicom(np.zeros((8, 8), np.uint16), PixelPaddingValue=0))
    assert study.frames[0].max() == 0


@pytest.mark.parametrize(
    ("attributes", "expected", "word"),
    [
        # LINEAR_EXACT is the only sense of a width below 1.
        (
            {"RescaleSlope": 2.0**-12, "RescaleIntercept": 0}
            | {"WindowCenter": 0.5, "WindowWidth": 0.9},
            np.rint(np.clip((np.arange(16) / 16 - 0.5) / 0.9 + 0.5, 0, 1) * 255),
            None,
        ),
        # So it is at 1, where the values are fractions; integers have a step there.
        (
            {"RescaleSlope": 2.0**-12, "RescaleIntercept": 0}
            | {"WindowCenter": 0.5, "WindowWidth": 1},
            np.rint(np.arange(16) / 16 * 255),
            None,
        ),
        ({"WindowCenter": 2000.5, "WindowWidth": 1}, 255 * (np.arange(16) > 7), "two grey levels"),
        ({"WindowCenter": 0, "WindowWidth": 0}, FULL, "no window that can be used"),
        ({"WindowCenter": 9, "WindowWidth": -5}, FULL, "no window that can be used"),
        ({"WindowCenter": 1000}, FULL, "no window that can be used"),
        (
            {"WindowCenter": ["", "2000"], "WindowWidth": ["", "4000"]},
            np.rint(np.clip((np.arange(16) * 256 - 1999.5) / 3999 + 0.5, 0, 1) * 255),
            None,
        ),
        (
            {"WindowCenter": 2000, "WindowWidth": 4000, "VOILUTFunction": "CURVED"},
            np.rint(np.clip((np.arange(16) * 256 - 1999.5) / 3999 + 0.5, 0, 1) * 255),
            "function",
        ),
        ({"WindowCenter": 90000, "WindowWidth": 10}, np.zeros(16), "single grey level"),
        (
            {"RescaleIntercept": -1000, "WindowCenter": 1000, "WindowWidth": 4000},
            np.rint(np.clip((np.arange(16) * 256 - 1999.5) / 3999 + 0.5, 0, 1) * 255),
            "intercept without a slope",
        ),
        ({"RescaleIntercept": 0, "RescaleSlope": 0}, FULL, "slope is 0"),
    ],
)
def test_windows_and_slopes(make_dicom, attributes, expected, word):
    study = read_study(make_dicom(RAMP, **attributes))
    assert np.abs(row(study) - expected).max() <= 1
    assert word is None or said(study, word)


def test_an_intercept_that_is_no_number_is_said(make_dicom):
    path = make_dicom(RAMP, RescaleSlope=1, WindowCenter=2000, WindowWidth=4000)
    dataset = pydicom.dcmread(path)
    dataset.add(DataElement(0x00281052, "LO", "-1024,0"))  # a comma where a point belongs
    dataset.save_as(path)
    assert said(read_study(path), "intercept is no number")


ENTRIES = np.arange(4096)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    ("first", "bits", "entries", "warned"),
    [
        (0, 12, ENTRIES, False),
        (0, 16, ENTRIES, True),  # says 16, holds 12
        (0, 16, ENTRIES * 16 + ENTRIES // 256, False),
        (0, 8, ENTRIES, True),  # says 8, holds 12
    ],
)
def test_a_voi_table_is_shown_at_the_range_it_holds(
    make_dicom, inverted, first, bits, entries, warned
):
    kind = "MONOCHROME1" if inverted else "MONOCHROME2"
    voi = table(first, bits, entries)
    study = read_study(make_dicom(RAMP, VOILUTSequence=voi, PhotometricInterpretation=kind))
    expected = np.rint(np.arange(16) * 256 / 4095 * 255)
    assert np.abs(row(study) - (255 - expected if inverted else expected)).max() <= 1
    assert said(study, "lookup table") == warned


@pytest.mark.parametrize(("first", "vr"), [(-1024, "SS"), (64512, "US")])
def test_the_first_value_of_a_table_is_signed_where_the_values_are(make_dicom, first, vr):
    path = make_dicom(
        RAMP,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        VOILUTSequence=table(first, 12, ENTRIES, vr),
    )
    assert np.abs(row(read_study(path)) - np.arange(16) * 256 / 4095 * 255).max() <= 1


def test_a_modality_table_of_signed_values(make_dicom):
    stored = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    path = make_dicom(
        stored,
        ModalityLUTSequence=table(-2048, 16, ENTRIES * 16, "SS"),
        WindowCenter=32768,
        WindowWidth=65536,
    )
    expected = np.arange(16) * 4096 / 65535 * 255
    assert np.abs(row(read_study(path)) - expected).max() <= 1


def test_a_damaged_voi_table_gives_way_to_the_window(make_dicom):
    cut = table(0, 12, ENTRIES)
    cut[0].LUTDescriptor = [6000, 0, 12]
    for damaged in ([Dataset()], cut):
        study = read_study(
            make_dicom(RAMP, VOILUTSequence=damaged, WindowCenter=2000, WindowWidth=4000)
        )
        assert said(study, "lookup table is empty")
        assert row(study)[-1] == 245


def test_more_pixels_than_the_header_says_are_reported(make_dicom):
    path = make_dicom(RAMP, WindowCenter=2000, WindowWidth=4000)
    assert not said(read_study(path), "the rest was left aside")
    dataset = pydicom.dcmread(path)
    dataset.Rows = 12
    dataset.save_as(path)
    assert said(read_study(path), "the rest was left aside")


def test_tables_read_the_slow_way():
    made = Table(np.array([5.0, 6.0, 7.0]), -1, 8)
    assert made.look_up(np.array([-9, -1, 0, 1, 2])).tolist() == [5, 5, 6, 7, 7]
    assert made.placed(-1, 1).first == -1
    assert Table(made.entries, 65535, 8).placed(-1, 1).first == -1
    assert [bits_used(n, 16) for n in (0, 255, 4095, 16383, 16384, 65535)] == [1, 8, 12, 14, 16, 16]


@pytest.mark.parametrize(
    ("declared", "entries", "warned"),
    [(16, 257, False), (16, 1, True), (8, 1, False)],
    ids=["16 bits", "16 declared, 8 held", "8 bits"],
)
def test_palettes_of_sixteen_bits(make_dicom, declared, entries, warned):
    colours = np.random.default_rng(0).integers(0, 256, (3, 300), dtype=np.uint16)
    colours[0, 0] = 255
    indices = (np.arange(64 * 5).reshape(16, 20) % 300 + 7).astype(np.uint16)
    attributes = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in zip(("Red", "Green", "Blue"), colours, strict=True):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [300, 7, declared]
        content = (values * np.uint16(entries)).astype("<u2" if declared == 16 else np.uint8)
        attributes[f"{name}PaletteColorLookupTableData"] = content.tobytes()
    study = read_study(make_dicom(indices, **attributes))
    assert np.array_equal(study.frames[0], colours.T[indices - 7])
    assert said(study, "palette") == warned


def test_twelve_bits_of_colour_in_sixteen(make_dicom):
    colours = np.dstack([RAMP, RAMP.T, RAMP])
    study = read_study(make_dicom(colours))
    assert np.abs(study.frames[0] - colours / 4095 * 255).max() <= 0.5
    assert said(study, "declare 16 bits and hold 12")


@pytest.mark.parametrize(
    ("stored", "kept", "high", "expected", "word"),
    [
        (RAMP << 4, 12, 15, FULL, "upper bits"),
        (RAMP, 12, 15, FULL, "BitsStored was taken"),
        (RAMP, 16, 11, FULL, "BitsStored was taken"),
        (RAMP | 0x8000, 12, 11, FULL, "left aside"),
        ((RAMP << 4) | 5, 12, 15, None, "do not tell"),
        (RAMP.astype(np.int16), 16, 11, None, "do not tell"),
    ],
)
def test_high_bit_is_healed_or_refused(make_dicom, stored, kept, high, expected, word):
    path = make_dicom(stored, BitsStored=kept, HighBit=high)
    if expected is None:
        with pytest.raises(InputError, match=word):
            read_study(path)
        return
    study = read_study(path)
    assert np.abs(row(study) - expected).max() <= 1
    assert said(study, word)


@pytest.mark.parametrize("cosines", [[0] * 6, [1, 0, 0, 1, 0, 0], [1, 0, 0], [5, 0, 0, 0, 5, 0]])
def test_an_orientation_that_names_no_plane_gives_way(make_dicom, cosines):
    study = read_study(
        make_dicom(RAMP, ImageOrientationPatient=cosines, PatientOrientation=["R", "F"])
    )
    assert study.display == Display(flip_columns=True)
    assert said(study, "names no plane")


def test_orientations_that_disagree_are_said(make_dicom):
    coronal = [1, 0, 0, 0, 0, -1]
    study = read_study(
        make_dicom(RAMP, ImageOrientationPatient=coronal, PatientOrientation=["R", "F"])
    )
    assert study.display == Display()
    assert said(study, "disagree about which way the patient lies")
    for named in (["L", "F"], ["LH", "FL"], ["X", "F"]):
        study = read_study(
            make_dicom(RAMP, ImageOrientationPatient=coronal, PatientOrientation=named)
        )
        assert not said(study, "disagree")


@pytest.mark.parametrize(("spacing", "told"), [([500, 500], True), ([0.14, 0.14], False)])
def test_pixels_of_a_size_that_no_scan_has_are_said(make_dicom, spacing, told):
    study = read_study(make_dicom(RAMP, PixelSpacing=spacing))
    assert study.spacing == tuple(spacing)
    assert said(study, "check its unit of length") is told


@pytest.mark.parametrize("photometric", ["HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "MONOCHROME2"])
def test_colours_that_are_not_known_are_refused(make_dicom, photometric):
    colours = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match=f"says {photometric} of a picture with three samples"):
        read_study(make_dicom(colours, PhotometricInterpretation=photometric))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_a_presentation_that_contradicts_is_said(make_dicom, photometric, shape):
    study = read_study(
        make_dicom(RAMP, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    )
    alone = read_study(make_dicom(RAMP, PhotometricInterpretation=photometric))
    np.testing.assert_array_equal(study.frames[0], alone.frames[0])
    contradicts = (photometric, shape) in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE"))
    assert said(study, "Presentation LUT Shape") is contradicts


@pytest.mark.parametrize("syntax", ["90", "70"])
def test_a_compressed_frame_without_its_end_is_refused(make_dicom, syntax):
    imagecodecs = pytest.importorskip("imagecodecs")
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    path = make_dicom(pixels, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(path)
    if syntax == "70":
        stream = bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=12))
    else:
        stream = bytes(imagecodecs.jpeg2k_encode(pixels, bitspersample=12, codecformat="j2k"))
    dataset.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{syntax}"
    for kept in (len(stream), len(stream) * 9 // 10):
        dataset.PixelData = encapsulate([stream[:kept] + bytes(len(stream) - kept)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.save_as(path)
        if kept == len(stream):
            assert len(np.unique(read_study(path).frames[0])) == 256
    with pytest.raises(InputError, match="truncated"):
        read_study(path)


def frames_of(orientations, spacings) -> dict[str, object]:
    groups = []
    for cosines, spacing in zip(orientations, spacings, strict=True):
        groups.append(
            item(
                PlaneOrientationSequence=[item(ImageOrientationPatient=cosines)],
                PixelMeasuresSequence=[item(PixelSpacing=spacing)],
            )
        )
    return {"PerFrameFunctionalGroupsSequence": groups, "PixelSpacing": None}


def test_frames_that_lie_differently_are_refused(make_dicom):
    stack = np.stack([RAMP, RAMP])
    coronal, mirrored = [1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, 0, -1]
    same = read_study(make_dicom(stack, **frames_of([mirrored, mirrored], [[1, 2], [1, 2]])))
    assert same.display == Display(flip_columns=True)
    assert same.spacing == (1, 2)
    with pytest.raises(InputError, match="different orientations"):
        read_study(make_dicom(stack, **frames_of([coronal, mirrored], [[1, 2], [1, 2]])))
    uneven = read_study(make_dicom(stack, **frames_of([coronal, coronal], [[1, 2], [2, 2]])))
    assert uneven.spacing is None
    assert said(uneven, "different pixel spacings")


def jpeg_without_marks(colours: np.ndarray, *, transformed: bool) -> bytes:
    file = io.BytesIO()
    if transformed:
        Image.fromarray(colours).save(file, "JPEG", quality=100, subsampling=0)
        data = file.getvalue()
    else:  # three components as they are, without a colour transform
        image = Image.frombytes("YCbCr", colours.shape[1::-1], colours.tobytes())
        image.save(file, "JPEG", quality=100, subsampling=0)
        data = file.getvalue()
    start = data.find(b"\xff\xe0")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


@pytest.mark.parametrize("transformed", [True, False])
@pytest.mark.parametrize("named", ["RGB", "YBR_FULL_422"])
def test_a_jpeg_called_rgb(make_dicom, transformed, named):
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:, :8], colours[:, 8:] = (200, 30, 60), (20, 180, 90)
    colours[:4] = 250
    dataset = pydicom.dcmread(path := make_dicom(colours))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PhotometricInterpretation = named
    dataset.PixelData = encapsulate([jpeg_without_marks(colours, transformed=transformed)])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    study = read_study(path)
    if transformed or named == "RGB":
        assert np.abs(study.frames[0].astype(int) - colours).max() <= 3
    assert said(study, "taken for YCbCr") == (transformed and named == "RGB")


def test_a_small_frame_cannot_claim_a_large_image(make_dicom):
    path = make_dicom(np.zeros((64, 64), np.uint16), syntax=JPEGLSLossless)
    dataset = pydicom.dcmread(path)
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    side = (8000).to_bytes(2, "big")
    claimed = stream.replace((64).to_bytes(2, "big") * 2, side * 2, 1)
    assert claimed != stream
    dataset.Rows = dataset.Columns = 8000
    dataset.PixelData = encapsulate([claimed])
    dataset.save_as(path)
    with pytest.raises(InputError, match="more than its"):
        read_study(path)
