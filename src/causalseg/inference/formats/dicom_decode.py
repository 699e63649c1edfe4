"""The stored values of a DICOM object, whatever its transfer syntax."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.data.images import check_claim
from causalseg.data.integrity import check_end
from causalseg.errors import InputError
from causalseg.inference.formats.dicom_stream import stream_size, unmarked_colours

# One decoder for each compressed syntax, so that other installed plugins change nothing.
# RLE has pydicom's own: a faster plugin panics on damaged files and prints a traceback.
DECODERS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.57": "imagecodecs",
    "1.2.840.10008.1.2.4.70": "imagecodecs",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg",
    "1.2.840.10008.1.2.5": "pydicom",
}
PACKAGES = {
    "pillow": "Pillow",
    "imagecodecs": "imagecodecs",
    "pyjpegls": "pyjpegls",
    "pylibjpeg": "pylibjpeg-openjpeg",
    "pydicom": "pydicom",
}
_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG = ("1.2.840.10008.1.2.4.50", _EXTENDED)
# How far lossy coding may take a colour out of its range.
_LOSS = 24


def stored_values(dataset: Any, frames: int) -> tuple[npt.NDArray[Any], list[str]]:
    """Stored values (frames, H, W) or (frames, H, W, 3), and warnings; YBR comes back as RGB.

    Raises:
        InputError: damaged, of a transfer syntax that is not read, or contradicting its header.

    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        shown = "".join(c for c in str(syntax) if c in "0123456789.")[:64]
        raise InputError(f"the transfer syntax {shown} is not read: convert the file first.")
    unmarked = _check_streams(dataset, frames) if syntax.is_encapsulated else False
    notes: list[str] = []
    try:
        if syntax in _LOSSLESS or (syntax == _EXTENDED and int(dataset.BitsStored) > 8):
            stored = _by_libjpeg(dataset, frames)
        else:
            # Bits beyond Bits Stored are settled below: High Bit may say that they are the image.
            dataset.pixel_array_options(
                correct_unused_bits=False, decoding_plugin=DECODERS.get(syntax, "")
            )
            stored = dataset.pixel_array
            notes = _surplus(dataset, stored)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # Decoders are native code behind several plugins; their errors share no base class, and a
        # panic of one written in Rust is not even an Exception.
        raise InputError(
            f"the DICOM pixels cannot be decoded ({type(error).__name__}): the file is truncated "
            "or damaged."
        ) from None
    colour = int(dataset.get("SamplesPerPixel") or 1) == 3
    expected = (frames, int(dataset.Rows), int(dataset.Columns), *((3,) if colour else ()))
    if stored.size != int(np.prod(expected)):
        raise InputError("the DICOM pixels do not fill the size that the header gives.")
    stored = stored.reshape(expected)
    if unmarked and colour and str(dataset.PhotometricInterpretation) == "RGB":
        return _unmarked(stored)
    values, more = _settled(stored, dataset)
    return values, notes + more


def _surplus(dataset: Any, stored: npt.NDArray[Any]) -> list[str]:
    """A warning where an uncompressed file holds more pixels than its header's size."""
    data = dataset.get("PixelData") or b""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or len(data) <= stored.nbytes + 1:
        return []
    return [
        f"the file holds {len(data)} bytes of pixels and its header's size takes {stored.nbytes}: "
        "the rest was left aside, check the picture."
    ]


def _check_decoder(syntax: Any) -> None:
    """Raise InputError where no decoder for a compressed syntax is known or installed."""
    name = str(syntax.name) if syntax.is_transfer_syntax else "of this file"
    wanted = DECODERS.get(syntax)
    if wanted is None:
        raise InputError(f"the transfer syntax {name} is not read: convert the file first.")
    if wanted == "imagecodecs":
        installed = find_spec("imagecodecs") is not None
    else:
        from pydicom.pixels import get_decoder

        installed = wanted in get_decoder(syntax).available_plugins
    if not installed:
        raise InputError(
            f"the transfer syntax {name} needs {PACKAGES[wanted]}: pip install 'causalseg[dicom]'."
        )


def _by_libjpeg(dataset: Any, frames: int) -> npt.NDArray[Any]:
    """JPEG Lossless, and 12-bit JPEG, by libjpeg-turbo: no plugin of pydicom's decodes both.

    GDCM would, but it ends the process on some damaged files.
    """
    from imagecodecs import jpeg8_decode
    from pydicom.encaps import generate_frames
    from pydicom.pixels import convert_color_space

    colour = int(dataset.get("SamplesPerPixel") or 1) == 3
    # The samples as they are: the header says what they mean.
    space = "RGB" if colour else "GRAYSCALE"
    decoded = []
    for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
        frame = np.asarray(jpeg8_decode(stream, colorspace=space, outcolorspace=space))
        if colour and str(dataset.PhotometricInterpretation) == "YBR_FULL":
            frame = np.asarray(convert_color_space(frame, "YBR_FULL", "RGB"))
        if int(dataset.get("PixelRepresentation") or 0) == 1:
            frame = _signed(frame, int(dataset.BitsStored))
        decoded.append(frame)
    return np.stack(decoded)


def _signed(values: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Two's complement of that many bits, which a JPEG stores as if unsigned."""
    shift = 8 * values.dtype.itemsize - bits
    signed: npt.NDArray[Any] = (values << shift).view(f"i{values.dtype.itemsize}") >> shift
    return signed


def _check_streams(dataset: Any, frames: int) -> bool:
    """Refuse compressed frames that claim more than they can hold, or have no end.

    Returns:
        Whether the first one is a JPEG that does not say which colours it holds.

    """
    from pydicom.encaps import generate_frames

    _check_decoder(dataset.file_meta.TransferSyntaxUID)
    header = (int(dataset.Rows), int(dataset.Columns))
    samples = int(dataset.get("SamplesPerPixel") or 1)
    each = samples * (int(dataset.get("BitsAllocated") or 8) + 7) // 8
    length = len(dataset.PixelData)
    check_claim(frames * header[0] * header[1] * each, length, "the DICOM file")
    unmarked = False
    for number, stream in enumerate(generate_frames(dataset.PixelData, number_of_frames=frames)):
        size = stream_size(stream)
        if size is not None and size != header:
            raise InputError(
                f"a compressed frame claims {size[0]} x {size[1]} pixels, the DICOM header "
                f"{header[0]} x {header[1]}."
            )
        check_end(stream, "a compressed frame of the DICOM file")
        if number == 0 and dataset.file_meta.TransferSyntaxUID in _JPEG:
            unmarked = unmarked_colours(stream)
    return unmarked


def _unmarked(stored: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[str]]:
    """Samples of a JPEG without a colour mark whose header says RGB: the samples decide. YCbCr that
    was made from RGB gives RGB within 0..255 again, while RGB read as YCbCr leaves that range
    wherever it is dark, bright or colourful.
    """
    from pydicom.pixels import convert_color_space

    y, cb, cr = (stored[..., i].astype(np.float32) for i in range(3))
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    outside = np.zeros(y.shape, np.bool_)
    for channel in (red, green, blue):
        outside |= (channel < -_LOSS) | (channel > 255 + _LOSS)
    if outside.mean() > 0.01:
        return stored, []
    return np.asarray(convert_color_space(stored, "YBR_FULL", "RGB")), [
        "the header says RGB of a JPEG whose samples are YCbCr: they were taken for YCbCr."
    ]


def _settled(stored: npt.NDArray[Any], dataset: Any) -> tuple[npt.NDArray[Any], list[str]]:
    """Stored values by Bits Stored and High Bit, corrected where the values show how.

    Raises:
        InputError: High Bit contradicts Bits Stored and the values fit neither reading.

    """
    if stored.dtype.kind not in "iu":
        return stored, []
    kept = int(dataset.get("BitsStored") or 8 * stored.dtype.itemsize)
    high = int(dataset.get("HighBit", kept - 1) or 0)
    signed = stored.dtype.kind == "i"
    low, top = int(stored.min()), int(stored.max())
    fits = -(2 ** (kept - 1)) <= low and top < 2 ** (kept - 1) if signed else top < 2**kept
    if high == kept - 1:
        return (stored, []) if fits else _masked(stored, kept)
    shift = high + 1 - kept
    if shift > 0 and not fits and not (stored & ((1 << shift) - 1)).any():
        return stored >> shift, [
            "the values lie in the upper bits, as the header's HighBit says: they were moved down."
        ]
    half = 2**high
    sign_unknown = signed and shift < 0 and low >= 0 and half <= top < 2 * half
    if fits and not sign_unknown:
        return stored, [
            f"the header's HighBit ({high}) contradicts its BitsStored ({kept}), which the values "
            "fit: BitsStored was taken."
        ]
    raise InputError(
        f"the DICOM header's HighBit ({high}) contradicts its BitsStored ({kept}), and the values "
        "do not tell which is meant: correct the header."
    )


def _masked(stored: npt.NDArray[Any], kept: int) -> tuple[npt.NDArray[Any], list[str]]:
    """Values without the bits beyond Bits Stored, which once held overlays."""
    shift = 8 * stored.dtype.itemsize - kept
    if shift <= 0:
        return stored, []
    return (stored << shift) >> shift, [
        f"the pixels have bits beyond the {kept} that the header says are stored: they were left "
        "aside."
    ]
