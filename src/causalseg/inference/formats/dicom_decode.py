"""The stored values of a DICOM object, whatever its transfer syntax."""

from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.data.images import check_claim
from causalseg.errors import InputError
from causalseg.inference.formats.dicom_stream import stream_size, unmarked_colours

# One decoder for each compressed syntax, so that what is installed besides changes nothing.
# RLE has pydicom's own: a faster plugin panics on damaged files and prints a traceback.
DECODERS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.57": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
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
    "gdcm": "python-gdcm",
    "pyjpegls": "pyjpegls",
    "pylibjpeg": "pylibjpeg-openjpeg",
    "pydicom": "pydicom",
}
_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG = ("1.2.840.10008.1.2.4.50", _EXTENDED)
# By how much lossy coding may take a colour out of its range.
_LOSS = 24


def stored_values(dataset: Any, frames: int) -> tuple[npt.NDArray[Any], list[str]]:
    """Stored values (frames, H, W) or (frames, H, W, 3), and warnings; YBR comes back as RGB.

    Raises:
        InputError: damaged, of a transfer syntax that is not read, or contradicting its header.

    """
    syntax = dataset.file_meta.TransferSyntaxUID
    unmarked = _check_streams(dataset, frames) if syntax.is_encapsulated else False
    try:
        if syntax == _EXTENDED and int(dataset.BitsStored) > 8:
            stored = _twelve_bits(dataset, frames)
        else:
            # Bits beyond Bits Stored are settled below: High Bit may say that they are the image.
            dataset.pixel_array_options(
                correct_unused_bits=False, decoding_plugin=DECODERS.get(syntax, "")
            )
            stored = dataset.pixel_array
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # Decoders are native code behind several plugins, without a common base class; a panic of
        # one written in Rust is not even an Exception.
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
    return _settled(stored, dataset)


def _check_decoder(syntax: Any) -> None:
    """Raise InputError where no decoder for a compressed syntax is known or installed."""
    name = str(syntax.name) if syntax.is_transfer_syntax else "of this file"
    wanted = DECODERS.get(syntax)
    if wanted is None:
        raise InputError(f"the transfer syntax {name} is not read: convert the file first.")
    from pydicom.pixels import get_decoder

    if wanted not in get_decoder(syntax).available_plugins:
        raise InputError(
            f"the transfer syntax {name} needs {PACKAGES[wanted]}: pip install 'causalseg[dicom]'."
        )


def _twelve_bits(dataset: Any, frames: int) -> npt.NDArray[Any]:
    """JPEG Extended of 12 bits by GDCM itself: pydicom's plugin for it takes 8 bits only."""
    import gdcm
    from pydicom.encaps import generate_frames

    if int(dataset.BitsAllocated) != 16 or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise InputError("a 12-bit JPEG must be grey, with 16 bits allocated.")
    size = (int(dataset.Rows), int(dataset.Columns))
    kind = gdcm.PixelFormat(1, 16, int(dataset.BitsStored), int(dataset.BitsStored) - 1, 0)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    decoded = []
    for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(stream)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimensions((size[1], size[0], 1))
        image.SetDataElement(element)
        image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
        image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(_EXTENDED))))
        image.SetPixelFormat(kind)
        # GDCM's bytes come as a str.
        buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
        decoded.append(np.frombuffer(buffer, "<u2").reshape(size))
    return np.stack(decoded)


def _check_streams(dataset: Any, frames: int) -> bool:
    """Refuse compressed frames that claim more than they can hold.

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
        if number == 0 and dataset.file_meta.TransferSyntaxUID in _JPEG:
            unmarked = unmarked_colours(stream)
    return unmarked


def _unmarked(stored: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[str]]:
    """Samples of a JPEG without a colour mark whose header says RGB: as the samples have it.

    YCbCr that was made of RGB gives RGB within 0..255 again, while RGB taken for YCbCr leaves
    that range wherever it is dark, bright or colourful.
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
    """Stored values with Bits Stored and High Bit heeded, healed where the values tell how.

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
