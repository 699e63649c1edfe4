"""A DICOM node: takes radiographs by C-STORE, segments them, and stores the SEG back by C-STORE.

The queue is a folder. An image is on disk before the sender is told that it was accepted, and
leaves the queue after the destination has accepted its SEG; a process that is killed in between
continues where it was, and sends the same SEG (with the same UID) again. Names of files are hashes,
and no line that is printed holds patient data.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalseg.errors import InputError
from causalseg.files import write_bytes
from causalseg.inference.formats.dicom import quiet, read_dicom_header
from causalseg.inference.formats.dicom_decode import DECODERS
from causalseg.inference.predict import predict_one
from causalseg.inference.requests import Item, Prompt, clean_prompt
from causalseg.inference.tracks import PredictOptions

if TYPE_CHECKING:
    from causalseg.inference.segmenter import Segmenter

# CR, DX for presentation and for processing, secondary capture.
RADIOGRAPHS = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
_NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
# The attributes that may hold a sentence to segment by.
TEXTS = (
    "StudyDescription",
    "SeriesDescription",
    "ImageComments",
    "RequestedProcedureDescription",
    "ReasonForTheRequestedProcedure",
    "AdditionalPatientHistory",
)
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_PAUSES = (1.0, 5.0, 15.0, 60.0)
"""Seconds to wait after the first, second... time the destination does not answer."""


@dataclass(frozen=True)
class Node:
    """A DICOM application entity."""

    host: str
    port: int
    title: str

    @classmethod
    def parse(cls, text: str) -> "Node":
        """`AETITLE@HOST:PORT`; InputError for anything else."""
        title, _, address = text.partition("@")
        host, _, port = address.rpartition(":")
        if not title or len(title) > 16 or not host or not port.isdecimal():
            raise InputError(f"--store-to wants AETITLE@HOST:PORT, not {text!r}.")
        return cls(host, int(port), title)


@dataclass(frozen=True)
class Rule:
    """Which sentence an image is segmented by."""

    text: str | None = None
    """The sentence; with `attribute`, for images without that attribute."""
    attribute: str | None = None
    """One of `TEXTS`, whose value is the sentence."""

    def __post_init__(self) -> None:
        if self.text is None and self.attribute is None:
            raise InputError("give --text SENTENCE, or --text-from ATTRIBUTE, or both.")
        if self.text is not None:
            clean_prompt(self.text)

    def prompt(self, header: Any) -> str:
        """The sentence for an image.

        Raises:
            InputError: the attribute is empty and there is no other sentence.

        """
        if self.attribute is not None:
            with quiet():
                value = str(header.get(self.attribute) or "")
            if value.strip():
                return clean_prompt(value)
        if self.text is None:
            raise InputError(f"the image has no {self.attribute} to be segmented by.")
        return clean_prompt(self.text)


class Queue:
    """Accepted images whose SEG is not stored yet: a folder of files."""

    def __init__(self, folder: Path, most: int) -> None:
        self.waiting, self.failed = folder / "waiting", folder / "failed"
        self.results = folder / "results"
        self.most = most
        try:
            for place in (self.waiting, self.failed, self.results):
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(f"--queue {folder} cannot be used: {error.strerror}.") from None

    def files(self) -> list[Path]:
        """What waits, the oldest first."""
        return sorted(self.waiting.glob("*.dcm"))

    def put(self, content: bytes, uid: str) -> bool:
        """Keep an image, which is on disk when this returns; False if the folder is full."""
        digest = hashlib.sha256(uid.encode()).hexdigest()[:16]
        held = self.files()
        if any(path.name.endswith(f"-{digest}.dcm") for path in held):
            return True  # Sent twice: the first one is not done yet.
        if len(held) + len(list(self.failed.glob("*.dcm"))) >= self.most:
            return False
        write_bytes(self.waiting / f"{time.time_ns():020}-{digest}.dcm", content)
        return True

    def fail(self, path: Path, reason: str) -> None:
        """Set an image aside that cannot be segmented, with the reason beside it."""
        write_bytes(self.failed / f"{path.stem}.txt", f"{reason}\n".encode())
        os.replace(path, self.failed / path.name)


def serve(
    queue: Queue,
    segmenter: "Segmenter",
    rule: Rule,
    destination: Node,
    options: PredictOptions,
    *,
    title: str,
    host: str,
    port: int,
    say: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Accept images until `stop` is set, and work on the queue meanwhile.

    Args:
        queue: where images wait.
        segmenter: see `predict_one`.
        rule: the sentence for each image.
        destination: where the SEG goes.
        options: how it is made; the format is always SEG.
        title: this node's AE title.
        host: address to listen on.
        port: TCP port to listen on.
        say: prints a line.
        stop: ends the work after the image at hand.

    Raises:
        InputError: the port cannot be used, or the extra is not installed.

    """
    server = _listen(queue, title, host, port, say)
    say(f"listening as {title} on {host}:{port}; {len(queue.files())} images waiting")
    options = replace(options, format="seg", resume=True)
    refusals = 0
    try:
        while not stop.is_set():
            files = queue.files()
            if not files:
                stop.wait(0.2)
                continue
            if _work(queue, files[0], segmenter, rule, destination, options, title, say):
                refusals = 0
                continue
            pause = _PAUSES[min(refusals, len(_PAUSES) - 1)]
            refusals += 1
            say(f"{destination.title} does not take the SEG: trying again in {pause:g} s")
            stop.wait(pause)
    finally:
        server.shutdown()


def _work(
    queue: Queue,
    path: Path,
    segmenter: "Segmenter",
    rule: Rule,
    destination: Node,
    options: PredictOptions,
    title: str,
    say: Callable[[str], None],
) -> bool:
    """Segment one image and send its SEG; False if the destination did not accept it."""
    import shutil

    name = path.stem
    try:
        prompt = rule.prompt(read_dicom_header(path))
    except InputError as error:
        queue.fail(path, str(error))
        say(f"{name}: failed: {error}")
        return True
    item = Item(1, str(path), (Prompt(prompt),), name)
    # A whole result from before a kill is kept, and the same SEG sent again.
    outcome = predict_one(segmenter, item, queue.results, options)
    if outcome.status == "failed":
        queue.fail(path, outcome.reason)
        say(f"{name}: failed: {outcome.reason}")
        return True
    if not send(queue.results / name / "segmentation.dcm", destination, title):
        return False
    path.unlink()
    shutil.rmtree(queue.results / name, ignore_errors=True)
    say(f"{name}: segmented and stored")
    return True


def _pynetdicom() -> Any:
    try:
        import pynetdicom
    except ImportError as error:
        raise InputError(
            "'causalseg listen' needs an extra: pip install 'causalseg[pacs]'."
        ) from error
    return pynetdicom


def _listen(queue: Queue, title: str, host: str, port: int, say: Callable[[str], None]) -> Any:
    """Start taking images in threads of their own."""
    pynetdicom = _pynetdicom()

    def take(event: Any) -> int:
        try:
            # The bytes as received, in a file of their own.
            content = event.encoded_dataset()
            kept = queue.put(content, str(event.request.AffectedSOPInstanceUID))
        except OSError as error:
            say(f"an image was refused: {error.strerror or type(error).__name__}")
            return _OUT_OF_RESOURCES
        except Exception as error:  # What was sent is not a data set.
            say(f"an image was refused: {type(error).__name__}")
            return _CANNOT_UNDERSTAND
        if not kept:
            say(f"an image was refused: {queue.most} are waiting or failed")
        return _SUCCESS if kept else _OUT_OF_RESOURCES

    entity = pynetdicom.AE(ae_title=title)
    entity.add_supported_context("1.2.840.10008.1.1")  # C-ECHO
    for kind in RADIOGRAPHS:
        entity.add_supported_context(kind, [*_NATIVE, *DECODERS])
    entity.maximum_associations = 8
    entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = 30
    handlers = [(pynetdicom.evt.EVT_C_STORE, take)]
    try:
        return entity.start_server((host, port), block=False, evt_handlers=handlers)
    except OSError as error:
        raise InputError(f"{host}:{port} cannot be listened on: {error.strerror}.") from None


def send(path: Path, destination: Node, title: str) -> bool:
    """Store a SEG at a node by C-STORE; False if it was not accepted."""
    from pydicom import dcmread

    entity = _pynetdicom().AE(ae_title=title)
    entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = 30
    entity.connection_timeout = 10
    entity.add_requested_context(_SEGMENTATION, _NATIVE[0])
    association = entity.associate(destination.host, destination.port, ae_title=destination.title)
    if not association.is_established:
        return False
    try:
        with quiet():
            status = association.send_c_store(dcmread(path))
        # 0xB000 to 0xBFFF are warnings of a destination that has stored it.
        code = int(status.get("Status", 0xC000))
        return code == _SUCCESS or code >> 12 == 0xB
    except (ValueError, RuntimeError, AttributeError):
        return False  # The association was lost on the way.
    finally:
        association.release()
