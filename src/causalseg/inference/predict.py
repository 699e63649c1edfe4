"""One image and its prompts to a folder of results, whole or not at all."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.domain import domain_warnings
from causalseg.inference.formats import Study, read_study
from causalseg.inference.outputs import Result
from causalseg.inference.requests import Item, Prompt
from causalseg.inference.writers import write_results
from causalseg.version import __version__

Format = Literal["auto", "png", "seg", "nifti"]
RESULT = "result.json"
# Prompts that are decoded together; each group encodes its image once.
_PROMPTS_AT_ONCE = 32
# Mask and probability of all prompts of an item, in pixels: about 10 GB.
_MAX_ANSWERS = 2**31


class Segmenter(Protocol):
    """What is used of `causalseg.inference.segmenter.Segmenter`."""

    def prompts(self, image: Any, texts: Sequence[str]) -> Sequence[Any]:
        """One result a text; the image is encoded once."""


@dataclass(frozen=True)
class PredictOptions:
    """How to read and write; picklable, the same for all items."""

    format: Format = "auto"
    seg_type: Literal["binary", "fractional"] = "binary"
    axis: str = "axial"
    window: tuple[float, float] | None = None
    finding: str | None = None
    """`SCHEME:VALUE:MEANING` of the segments; by default SCT 52988006, lesion."""
    anatomy: str | None = None
    """`SCHEME:VALUE:MEANING`; by default from the header's body part."""
    model: str = ""
    """Identity of the checkpoint, such as its SHA-256: another model's results are not reused."""
    resume: bool = False
    """Leave results alone that the same request has made already."""


@dataclass(frozen=True)
class Track:
    """One mask to be made: the text for each frame that has one."""

    texts: Mapping[int, str]
    description: str


@dataclass
class Answer:
    """Masks and probabilities (n, H, W) of a track, in the standard display."""

    track: Track
    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    result: Result | None = None
    """Of the only frame, for pictures; None for volumes."""


def tracks_of(prompts: Sequence[Prompt], frames: int) -> list[Track]:
    """The masks that an item's prompts ask for.

    A prompt without a slice is for all frames and makes a mask of its own; all prompts with a
    slice make one more mask together.

    Raises:
        InputError: a slice that is not there, or two prompts for one slice.

    """
    tracks = [
        Track(dict.fromkeys(range(frames), prompt.text), prompt.text)
        for prompt in prompts
        if prompt.slice is None
    ]
    sliced: dict[int, str] = {}
    for prompt in prompts:
        if prompt.slice is None:
            continue
        if prompt.slice >= frames:
            raise InputError(f"there is no slice {prompt.slice}: it has {frames}, from 0.")
        if prompt.slice in sliced:
            raise InputError(f"slice {prompt.slice} has two prompts: keep one.")
        sliced[prompt.slice] = prompt.text
    if sliced:
        parts = (f"slice {number}: {text}" for number, text in sorted(sliced.items()))
        tracks.append(Track(sliced, "; ".join(parts)))
    return tracks


def segment(segmenter: Segmenter, study: Study, tracks: Sequence[Track]) -> list[Answer]:
    """Run the model frame by frame; frames without a prompt stay empty (probability 0)."""
    shape = (len(study.frames), *study.shape)
    if len(tracks) * np.prod([float(size) for size in shape]) > _MAX_ANSWERS:
        raise InputError(f"{len(tracks)} masks of this size are too many at once: ask for fewer.")
    answers = [
        Answer(track, np.zeros(shape, np.uint8), np.zeros(shape, np.float32)) for track in tracks
    ]
    for number, frame in enumerate(study.frames):
        asked = [answer for answer in answers if number in answer.track.texts]
        for start in range(0, len(asked), _PROMPTS_AT_ONCE):
            group = asked[start : start + _PROMPTS_AT_ONCE]
            results = segmenter.prompts(frame, [answer.track.texts[number] for answer in group])
            for answer, result in zip(group, results, strict=True):
                if not np.isfinite(result.probability).all():
                    raise InputError("the model's output is not finite: is the checkpoint sound?")
                answer.mask[number] = result.mask
                answer.probability[number] = result.probability
                answer.result = result if len(study.frames) == 1 else None
    return answers


def request_digest(item: Item, options: PredictOptions) -> str:
    """SHA-256 of everything that decides an item's results, the source's size and time too."""
    settings = asdict(options)
    del settings["resume"]
    stat = os.stat(item.image)
    request = [
        item.image,
        [asdict(prompt) for prompt in item.prompts],
        settings,
        [stat.st_size, stat.st_mtime_ns],
        __version__,
    ]
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()


def is_done(folder: Path, digest: str) -> bool:
    """Whether a folder holds the whole results of this very request."""
    try:
        record = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("request") == digest


def predict_one(
    segmenter: Segmenter, item: Item, out: Path, options: PredictOptions
) -> dict[str, Any]:
    """Segment one image by its prompts and write `out/NAME/`. Never raises for a bad item.

    The folder appears by one rename when everything in it is written and checked, so that a
    killed process leaves a whole folder or none (and a hidden `.NAME.PID.part`, which the next
    run of the item removes).

    Args:
        segmenter: loaded once for all items.
        item: image, prompts and the name of its folder.
        out: folder of all results.
        options: see `PredictOptions`.

    Returns:
        row, name, status ("done", "kept" from an earlier run, or "failed"), reason (of a
        failure, without patient data), warnings, seconds.

    """
    start = time.monotonic()
    status, reason = "failed", ""
    notes: list[str] = []
    try:
        status, notes = _predict(segmenter, item, out, options)
    except InputError as error:
        reason = str(error)
    except OSError as error:
        reason = f"the file system refused ({error.strerror or type(error).__name__})."
    except MemoryError:
        reason = "it does not fit into memory."
    except Exception as error:
        # One bad file must never stop the rest, and a message may quote the file: name the kind.
        reason = f"unexpected {type(error).__name__}: please report it."
    return {
        "row": item.row,
        "name": item.name,
        "status": status,
        "reason": reason,
        "warnings": notes,
        "seconds": round(time.monotonic() - start, 3),
    }


def _predict(
    segmenter: Segmenter, item: Item, out: Path, options: PredictOptions
) -> tuple[str, list[str]]:
    folder = out / item.name
    if "\0" in item.image or not os.path.exists(item.image):
        raise InputError("there is no such file: check the path.")
    digest = request_digest(item, options)
    if options.resume and is_done(folder, digest):
        return "kept", []
    study = read_study(item.image, axis=options.axis, window=options.window)
    answers = segment(segmenter, study, tracks_of(item.prompts, len(study.frames)))
    general = [*study.warnings, *domain_warnings(study, getattr(segmenter, "provenance", {}))]
    for old in out.glob(f".{item.name}.*.part"):
        shutil.rmtree(old, ignore_errors=True)
    part = out / f".{item.name}.{os.getpid()}.part"
    part.mkdir()
    try:
        written = write_results(segmenter, study, answers, part, options)
        general += written.pop("warnings")
        record = {
            "note": "Research software, not a medical device.",
            "version": __version__,
            "image": item.image,
            "row": item.row,
            "request": digest,
            "model": options.model,
            "warnings": general,
            **written,
        }
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        (part / RESULT).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        _publish(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return "done", general


def _publish(part: Path, folder: Path) -> None:
    """Rename a finished folder into place; an older one of the same name gives way."""
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old.part")
        os.replace(folder, old)
        os.replace(part, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(part, folder)
