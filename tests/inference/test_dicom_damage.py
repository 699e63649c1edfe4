"""DICOM files that cannot be used: one sentence each, without a word of the patient's data."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pydicom = pytest.importorskip("pydicom")

from pydicom.encaps import encapsulate, generate_frames  # noqa: E402
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless  # noqa: E402

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.formats import read_study  # noqa: E402
from causalseg.inference.formats.dicom_stream import stream_size  # noqa: E402


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": 0}, "empty image"),
        ({"Rows": None}, "size"),
        ({"Rows": 65535, "Columns": 65535}, "limit"),
        ({"NumberOfFrames": 2_000_000_000}, "more than"),
        ({"Rows": 16}, "cannot be decoded"),
        ({"Modality": "RTDOSE"}, "dose"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"}, "dose"),
        ({"PhotometricInterpretation": "NONSENSE"}, "photometric|decoded"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, "segmentation already"),
    ],
)
def test_unusable_headers(make_dicom, attributes, message, secret):
    path = make_dicom(np.zeros((8, 8), np.uint8), **attributes)
    with pytest.raises(InputError, match=message) as caught:
        read_study(path)
    assert secret not in str(caught.value)


def test_unusable_files(make_dicom, tmp_path):
    with pytest.raises(InputError, match="at least 8"):
        read_study(make_dicom(np.zeros((1, 1), np.uint8)))
    deflated = pydicom.dcmread(make_dicom(np.zeros((8, 8), np.uint8)))
    deflated.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    deflated.save_as(tmp_path / "deflated.dcm")
    for name, content, message in (
        ("empty.dcm", b"", "empty"),
        ("text.dcm", b"not an image at all", "size|damaged|no image"),
        ("magic.dcm", bytes(128) + b"DICM", "no image|damaged"),
        ("notes.txt", b"hello", "none of"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_study(tmp_path / name)
    with pytest.raises(InputError, match="deflated"):
        read_study(tmp_path / "deflated.dcm")
    with pytest.raises(InputError, match="folder"):
        read_study(tmp_path)
    with pytest.raises(InputError, match="NUL"):
        read_study("a\0b.dcm")
    with pytest.raises(InputError, match="no such file"):
        read_study(tmp_path / "absent.dcm")
    with pytest.raises(InputError, match="too long"):
        read_study(tmp_path / ("x" * 5000))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    syntax=st.sampled_from([None, RLELossless]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_damaged_files_end_in_one_sentence(
    make_dicom, radiograph, tmp_path, syntax, changes, kept, secret, capfd
):
    """Cut or with bytes changed, a file is read or refused; never another error, never a leak."""
    content = bytearray(make_dicom(radiograph[:8, :8].copy(), syntax=syntax).read_bytes())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path = tmp_path / "damaged.dcm"
    path.write_bytes(bytes(content[: int(kept * len(content))]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they quote what they complain about
        try:
            study = read_study(path)
            said = " ".join(study.warnings)
            assert study.frames[0].dtype == np.uint8
        except InputError as error:
            said = str(error)
    assert secret not in said
    assert secret not in "".join(capfd.readouterr())


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_stream_that_claims_another_size_is_not_decoded(make_dicom, radiograph, syntax):
    path = make_dicom(radiograph, syntax=syntax)
    dataset = pydicom.dcmread(path)
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    rows, columns = radiograph.shape
    assert stream_size(stream) == (rows, columns)
    width = 4 if syntax == JPEG2000Lossless else 2
    claimed = stream.replace(columns.to_bytes(width, "big"), (60_000).to_bytes(width, "big"), 1)
    dataset.PixelData = encapsulate([claimed])
    dataset.save_as(path)
    with pytest.raises(InputError, match="claims 40 x 60000"):
        read_study(path)


@pytest.mark.parametrize("length", [0, 7])
def test_boxes_that_go_nowhere_do_not_hang(make_dicom, radiograph, length):
    path = make_dicom(radiograph, syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    start = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
    sound = start + (8 + len(stream)).to_bytes(4, "big") + b"jp2c" + stream
    assert stream_size(sound) == radiograph.shape
    dataset.PixelData = encapsulate([start + length.to_bytes(4, "big") + b"ftyp" + stream])
    dataset.save_as(path)
    with pytest.raises(InputError, match="boxes"):
        read_study(path)
