"""DICOMweb: a study's images in (QIDO-RS, WADO-RS) and segmentations out (STOW-RS).

Messages and logs hold no patient data: neither values of a header nor UIDs.
"""

import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from causalseg.errors import InputError

TOKEN = "CAUSALSEG_DICOMWEB_TOKEN"
"""Environment variable with the bearer token, which would be seen on a command line."""
_ATTEMPTS = 3
_TIMEOUT = (10, 120)
# Modalities of series that are not images.
_NO_IMAGES = frozenset(
    {"SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "DOC", "AU", "ECG"}
)


@dataclass(frozen=True)
class Origin:
    """A DICOMweb server."""

    url: str
    token: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                "--dicomweb wants the address of the service, such as "
                "http://localhost:8042/dicom-web."
            )
        if self.token and parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise InputError(
                f"--dicomweb: {TOKEN} would be sent unencrypted over http: use an https address."
            )

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The server at an address, with the token from the environment."""
        return cls(url, os.environ.get(TOKEN, ""))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _client(origin: Origin) -> Any:
    try:
        from dicomweb_client import DICOMwebClient
    except ImportError as error:
        raise InputError("--dicomweb needs an extra: pip install 'causalseg[pacs]'.") from error
    import requests

    session = requests.Session()
    if origin.token:
        session.headers["Authorization"] = f"Bearer {origin.token}"
    client = DICOMwebClient(origin.url, session=session, timeout=_TIMEOUT)
    # For busy answers and for connections that fail: after one second, then after two.
    client.set_http_retry_params(max_attempts=_ATTEMPTS, wait_exponential_multiplier=500)
    return client


@contextmanager
def _told(deed: str) -> Iterator[None]:
    """Turn network errors, which would quote the address and UIDs, into one sentence."""
    import requests
    from retrying import RetryError

    try:
        yield
    except InputError:
        raise
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        hint = {
            401: f": set {TOKEN}",
            403: f": {TOKEN} does not allow it",
            404: ": is the address right, and the study there?",
        }.get(status if isinstance(status, int) else 0, "")
        raise InputError(f"the DICOMweb server answered {status} to {deed}{hint}.") from None
    except RetryError:
        raise InputError(f"the DICOMweb server stays too busy to {deed}: try later.") from None
    except requests.RequestException as error:
        raise InputError(
            f"the DICOMweb server cannot be reached to {deed} ({type(error).__name__}): is the "
            "address right?"
        ) from None
    except Exception as error:  # Not an answer: JSON, multipart and DICOM parsers.
        raise InputError(
            f"the DICOMweb server's answer to {deed} cannot be used ({type(error).__name__})."
        ) from None


def fetch_study(origin: Origin, study: str, series: str | None, folder: Path) -> int:
    """Write the images of a study, or of one of its series, into a folder, one at a time.

    Args:
        origin: the server.
        study: Study Instance UID.
        series: Series Instance UID; without it, all series but those that are no images.
        folder: files are named by their SOP Instance UID, in a folder for each series.

    Returns:
        The number of files.

    Raises:
        InputError: the server cannot be reached, refuses, or has no such images.

    """
    from causalseg.inference.formats.dicom import quiet

    client = _client(origin)
    with quiet(), _told("find the study"):
        found = client.search_for_series(study, get_remaining=True)
        wanted = [
            uid
            for entry in found
            if (uid := _value(entry, "0020000E"))
            and (uid == series if series else _value(entry, "00080060") not in _NO_IMAGES)
        ]
    if not wanted:
        what = "such a series" if series else "images of this study"
        raise InputError(f"the DICOMweb server has no {what}: check the UID.")
    count = 0
    with quiet(), _told("fetch the images"):
        for number, uid in enumerate(wanted):
            place = folder / f"{number:04}"
            place.mkdir(parents=True)
            for dataset in client.iter_series(study, uid):
                count += 1
                dataset.save_as(place / f"{_safe(dataset)}.dcm", enforce_file_format=True)
    return count


def _value(entry: dict[str, Any], tag: str) -> str:
    return str((entry.get(tag, {}).get("Value") or [""])[0])


def _safe(dataset: Any) -> str:
    """The SOP Instance UID, which is digits and dots, as a file's name."""
    return "".join(c for c in str(dataset.SOPInstanceUID) if c in "0123456789.")[:64]


def store(origin: Origin, paths: Sequence[Path]) -> None:
    """Send DICOM files to the server; sending one twice is harmless, since its UID is the same.

    Raises:
        InputError: the server cannot be reached, or did not take all of them.

    """
    from pydicom import dcmread

    from causalseg.inference.formats.dicom import quiet

    client = _client(origin)
    with quiet(), _told("store the segmentation"):
        for path in paths:
            answer = client.store_instances([dcmread(path)])
            if answer.get("FailedSOPSequence") or not answer.get("ReferencedSOPSequence"):
                raise InputError("the DICOMweb server did not take the segmentation.")
