"""Limits on what an upload may cost, checked before anything is decoded."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from causalseg.data.images import FORMATS, check_size, decode_picture
from causalseg.errors import InputError
from causalseg.inference.formats import Study, kind_of, read_study
from causalseg.inference.formats.raster import picture_study
from causalseg.scratch import private_folder

NAME = "the image"
"""What messages call an upload, whose own name may hold a patient's."""

# The DICOM reader silences its parser, which would quote patients, by settings of the whole
# process: two at once would undo each other's.
_ONE_DICOM = threading.Lock()
_T = TypeVar("_T")


@dataclass(frozen=True)
class Limits:
    """Bounds of the server and of the web page."""

    max_bytes: int = 32 * 2**20
    """Of a whole request body, and of an upload to the page."""
    max_pixels: int = 40_000_000
    """Width times height that a header may claim; more is refused unread."""
    most: int = 256
    """Requests that may be in progress or waiting; the next one is answered 429."""
    batch_size: int = 8
    """Images that the model takes at once."""
    wait_ms: float = 0.0
    """How long the first request of a batch waits for others; those that come while the model is
    busy share the next batch in any case."""
    timeout_s: float = 30.0
    """For a body to arrive, and again for its answer to be made. A request that would have to wait
    longer is answered 503 at once."""

    def __post_init__(self) -> None:
        low = {"max_bytes": 1024, "max_pixels": 4096, "most": 1, "batch_size": 1}
        for name, least in low.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}.")
        if self.wait_ms < 0 or self.timeout_s <= 0:
            raise InputError("wait_ms must not be negative, and timeout_s must be above 0.")


class TooLargeError(InputError):
    """An upload that is refused for its size alone."""


def check_upload(content: bytes, limits: Limits) -> int:
    """The pixels that an uploaded image's header claims; what `read_upload` takes otherwise.

    Raises:
        TooLargeError, InputError: as `read_upload` does, as far as the header tells.

    """
    with _private_file(content) as path:
        return check_file(path, limits)


def check_file(path: Path, limits: Limits) -> int:
    """As `check_upload`, for a file that the caller keeps; messages do not name it."""
    return _guarded(_check, path, limits)


def read_upload(content: bytes, limits: Limits) -> Study:
    """Decode an uploaded image; nothing about its name is known or needed.

    Args:
        content: the bytes of a PNG, JPEG, TIFF, BMP or DICOM file with one frame.
        limits: `max_pixels` is checked against the header before pixels are decoded.

    Raises:
        TooLargeError: the header claims more pixels than allowed.
        InputError: empty, damaged, of another kind, or of several frames.

    """
    with _private_file(content) as path:
        return read_file(path, limits)


def read_file(path: Path, limits: Limits) -> Study:
    """As `read_upload`, for a file that the caller keeps; messages do not name it."""
    return _guarded(_read, path, limits)


@contextmanager
def _private_file(content: bytes) -> Iterator[Path]:
    """DICOM readers need a file; it is private, has a name of our choice and is removed
    afterwards.
    """
    if not content:
        raise InputError(f"{NAME} is empty (0 bytes): choose a file again.")
    with private_folder() as folder:
        path = folder / "upload"
        path.write_bytes(content)
        yield path


def _guarded(read: Callable[[Path, Limits], _T], path: Path, limits: Limits) -> _T:
    try:
        return read(path, limits)
    except InputError:
        raise
    except Exception as error:
        # A decoder's message may quote the file, so name only the kind of error.
        raise InputError(
            f"{NAME} cannot be read ({type(error).__name__}): is it damaged?"
        ) from None


def _check(path: Path, limits: Limits) -> int:
    if path.stat().st_size > limits.max_bytes:
        raise TooLargeError(f"{NAME} has more than {limits.max_bytes} bytes: shrink it.")
    kind = kind_of(path)
    if kind == "raster":
        width, height = _raster_size(path) or (0, 0)
        if width or height:
            _check_pixels(width, height, limits)
        return width * height
    if kind == "dicom":
        with _ONE_DICOM:
            return _check_dicom(path, limits)
    if kind == "nifti":
        raise InputError("a NIfTI volume is segmented by 'causalseg predict', not here.")
    raise InputError(f"{NAME} is none of PNG, JPEG, TIFF, BMP and DICOM.")


def _read(path: Path, limits: Limits) -> Study:
    _check(path, limits)
    if kind_of(path) == "raster":
        return picture_study(decode_picture(path.read_bytes(), NAME))
    with _ONE_DICOM:
        return read_study(path)


def _raster_size(path: Path) -> tuple[int, int] | None:
    """(width, height) as the header claims; None where it cannot be read."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{NAME} claims far too many pixels: shrink it.") from error
    except Exception:  # A broken header makes Pillow raise anything; decode_picture reports it.
        return None


def _check_dicom(path: Path, limits: Limits) -> int:
    from causalseg.inference.formats.dicom import read_dicom_header

    header = read_dicom_header(path)
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        frames = int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        raise InputError("the DICOM header does not give the image's size.") from None
    if frames != 1:
        raise InputError(
            f"the DICOM file holds {frames} frames; one is taken here: use 'causalseg predict'."
        )
    if rows and columns:  # Otherwise the reader says what is missing.
        _check_pixels(columns, rows, limits)
    return max(0, rows * columns)


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise TooLargeError(
            f"{NAME} is {width} x {height} pixels, more than the {limits.max_pixels} that are "
            "taken here: shrink it."
        )
    check_size(width, height, NAME)
