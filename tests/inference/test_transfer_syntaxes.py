"""Every transfer syntax of docs/how-to/dicom.md: read to the right values, or refused by name."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.pixels import get_decoder  # noqa: E402
from pydicom.uid import UID  # noqa: E402

from causalseg.errors import InputError  # noqa: E402
from causalseg.inference.formats import read_study  # noqa: E402
from causalseg.inference.formats.dicom_decode import DECODERS, stored_values  # noqa: E402

GENERATOR = np.random.default_rng(9)
PAGE = Path(__file__).parents[2] / "docs/how-to/dicom.md"


def encode(samples: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    """A slow, independent encoder of JPEG Lossless (ITU T.81, process 14).

    One grey component (H, W) of up to 16 bits; predictor 1 (left) to 7 as in table H.1.
    """
    height, width = samples.shape
    codes = []
    for y in range(height):
        for x in range(width):
            left = int(samples[y, x - 1]) if x else 0
            above = int(samples[y - 1, x]) if y else 0
            corner = int(samples[y - 1, x - 1]) if x and y else 0
            if not x and not y:
                guess = 1 << (bits - 1)
            elif not y:
                guess = left
            elif not x:
                guess = above
            else:
                guess = (
                    left,
                    above,
                    corner,
                    left + above - corner,
                    left + ((above - corner) >> 1),
                    above + ((left - corner) >> 1),
                    (left + above) // 2,
                )[predictor - 1]
            # Differences are modulo 65536; -32768 and 32768 are one.
            difference = (int(samples[y, x]) - guess + 32768) % 65536 - 32768
            category = 16 if difference == -32768 else abs(difference).bit_length()
            # All 17 categories have codes of five bits: their own number.
            codes.append(f"{category:05b}")
            if 0 < category < 16:
                offset = difference if difference > 0 else difference + (1 << category) - 1
                codes.append(f"{offset:0{category}b}")
    text = "".join(codes)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    frame = bytes([bits]) + height.to_bytes(2, "big") + width.to_bytes(2, "big")
    counts = bytes([0, 0, 0, 0, 17]) + bytes(11)
    return (
        b"\xff\xd8"
        + segment(0xC3, frame + bytes([1, 1, 0x11, 0]))
        + segment(0xC4, b"\0" + counts + bytes(range(17)))
        + segment(0xDA, bytes([1, 1, 0, predictor, 0, 0]))
        + data
        + b"\xff\xd9"
    )


def compressed(make_dicom, samples, bits, stream, syntax):
    path = make_dicom(samples, BitsStored=bits, HighBit=bits - 1)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(
    ("uid", "predictor"),
    [("1.2.840.10008.1.2.4.70", 1)] + [("1.2.840.10008.1.2.4.57", n) for n in range(1, 8)],
)
def test_jpeg_lossless_value_for_value(make_dicom, bits, uid, predictor):
    pytest.importorskip("imagecodecs")
    smooth = np.add.outer(np.arange(20), np.arange(24)) * (2**bits // 64)
    noise = GENERATOR.integers(0, 2**bits, (20, 24))
    samples = np.where(np.arange(24) < 12, smooth, noise) % 2**bits
    samples = samples.astype(np.uint8 if bits == 8 else np.uint16)
    path = compressed(make_dicom, samples, bits, encode(samples, bits, predictor), UID(uid))
    dataset = pydicom.dcmread(path)
    assert np.array_equal(stored_values(dataset, 1)[0][0], samples)


def test_jpeg_lossless_of_signed_values(make_dicom):
    pytest.importorskip("imagecodecs")
    samples = GENERATOR.integers(-2048, 2048, (20, 24)).astype(np.int16)
    stream = encode(samples.astype(np.int64) & 4095, 12)
    path = compressed(make_dicom, samples, 12, stream, UID("1.2.840.10008.1.2.4.70"))
    assert np.array_equal(stored_values(pydicom.dcmread(path), 1)[0][0], samples)


def test_damaged_lossless_streams_end_in_one_sentence(make_dicom):
    pytest.importorskip("imagecodecs")
    samples = GENERATOR.integers(0, 4096, (20, 24)).astype(np.uint16)
    sound = encode(samples, 12, 4)
    uid = UID("1.2.840.10008.1.2.4.57")
    dataset = pydicom.dcmread(compressed(make_dicom, samples, 12, sound, uid))
    for _ in range(300):
        stream = bytearray(sound[: GENERATOR.integers(20, len(sound))])
        for place in GENERATOR.integers(0, len(stream), 3):
            stream[place] = GENERATOR.integers(0, 256)
        dataset.PixelData = encapsulate([bytes(stream)])
        with contextlib.suppress(InputError):
            assert stored_values(dataset, 1)[0].shape == (1, 20, 24)


def test_jpeg_lossless_of_colours():
    pytest.importorskip("imagecodecs")
    colours = read_study(get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False)).frames[0]
    plain = read_study(get_testdata_file("SC_rgb_rle.dcm", download=False)).frames[0]
    assert np.array_equal(colours, plain)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_twelve_bit_jpeg(name):
    pytest.importorskip("imagecodecs")
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    values = stored_values(dataset, 1)[0][0]
    # As libjpeg-turbo's 12-bit decoder has them.
    assert (values.min(), values.max()) == (0, 264)
    assert values[420, 140:146].tolist() == [244, 242, 249, 260, 218, 219]


def test_the_page_lists_every_syntax_with_its_state(make_dicom):
    text = PAGE.read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| 1.2.840")]
    states = {parts[1].strip(): parts[3].strip() for parts in rows}
    native = {f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2")}
    assert {uid for uid, state in states.items() if state == "read"} == native | set(DECODERS)
    for uid, state in states.items():
        assert UID(uid).is_transfer_syntax
        if state == "read" and DECODERS.get(uid, "imagecodecs") != "imagecodecs":
            assert DECODERS[uid] in get_decoder(UID(uid)).available_plugins
        if state == "refused" and not uid.endswith(".1.99"):
            samples = np.zeros((8, 8), np.uint8)
            path = compressed(make_dicom, samples, 8, b"\0\0\0\0", UID(uid))
            with pytest.raises(InputError, match="is not read"):
                read_study(path)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.9.999"])
def test_a_syntax_that_nobody_here_knows_is_named(make_dicom, uid):
    """JPEG XL, which pydicom itself has no name for, and one that does not exist."""
    known = UID("1.2.840.10008.1.2.4.100")
    path = compressed(make_dicom, np.zeros((8, 8), np.uint8), 8, b"\0\0\0\0", known)
    content = path.read_bytes()
    assert content.count(known.encode()) == 1
    path.write_bytes(content.replace(known.encode(), uid.encode()))
    # pynetdicom, where it was imported, has taught pydicom the name of JPEG XL.
    with pytest.raises(InputError, match=rf"({uid}|JPEG XL Lossless) is not read"):
        read_study(path)
