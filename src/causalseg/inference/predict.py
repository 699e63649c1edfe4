"""One image and its prompts to a folder of results, whole or not at all."""

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from causalseg.errors import InputError
from causalseg.files import remove_leftovers, replacing_folder, sha256_of, write_json
from causalseg.inference.device import share_threads
from causalseg.inference.domain import domain_warnings
from causalseg.inference.formats import Study, read_study
from causalseg.inference.outcome import Outcome, ResultRecord, outcome_of
from causalseg.inference.requests import Item
from causalseg.inference.tracks import PredictOptions, TrackAnswer, segment_study, tracks_of
from causalseg.inference.writers import write_answers
from causalseg.inputs import printable, read_json
from causalseg.version import __version__

if TYPE_CHECKING:
    from causalseg.inference.segmenter import Segmenter

RESULT = "result.json"


def request_digest(item: Item, options: PredictOptions) -> str:
    """SHA-256 of everything that decides an item's results, including the source's size and
    time.
    """
    request = [
        item.image,
        [asdict(prompt) for prompt in item.prompts],
        options.settings(),
        [[stat.st_size, stat.st_mtime_ns] for stat in map(os.stat, _source_files(item))],
        __version__,
    ]
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()


def _source_files(item: Item) -> list[Path]:
    if os.path.isdir(item.image):  # a series named by its folder
        return sorted(Path(item.image).iterdir())
    return [Path(path) for path in item.files or (item.image,)]


def is_done(folder: Path, digest: str) -> bool:
    """Whether a folder holds the whole results of exactly this request, each file unchanged."""
    try:
        record = read_json(folder / RESULT)
        files = record["sha256"]
        return bool(
            record["request"] == digest
            and files.keys() >= {name for mask in record["masks"] for name in mask["files"]}
            and all(sha256_of(folder / name) == made for name, made in files.items())
        )
    except (InputError, LookupError, TypeError, AttributeError):
        return False


class SetAsideError(InputError):
    """An answer that is too doubtful to be given."""


def predict_one(segmenter: "Segmenter", item: Item, out: Path, options: PredictOptions) -> Outcome:
    """Segment one image by its prompts and write `out/NAME/`. Never raises for a bad item.

    The folder appears by one rename when everything in it is written and checked, so that a
    killed process leaves a whole folder or none (and a hidden `.NAME.RANDOM.part`, which the next
    run of the item removes).

    Args:
        segmenter: loaded once for all items.
        item: image, prompts and the name of its folder.
        out: folder of all results.
        options: see `PredictOptions`.

    """
    start = time.monotonic()
    found = _attempt(segmenter, item, out, options)
    return replace(found, row=item.row, seconds=round(time.monotonic() - start, 3))


def _attempt(segmenter: "Segmenter", item: Item, out: Path, options: PredictOptions) -> Outcome:
    try:
        return _predict(segmenter, item, out, options)
    except SetAsideError as error:
        return Outcome(item.row, item.name, "set aside", str(error))
    except (InputError, OSError) as error:
        refused = error if isinstance(error, OSError) else error.__cause__
        reason = _without_paths(str(error), item)
        if isinstance(refused, OSError):  # without the path, which may hold patient data
            reason = f"the file system refused ({refused.strerror or type(refused).__name__})."
    except MemoryError:
        reason = "it does not fit into memory."
    except Exception as error:
        # One bad file must not stop the rest; the message may quote the file, so name only its
        # kind.
        reason = f"unexpected {type(error).__name__}: please report it."
    return Outcome(item.row, item.name, "failed", reason)


def predict_all(
    segmenter: "Segmenter", items: Sequence[Item], out: Path, options: PredictOptions
) -> Iterator[Outcome]:
    """What `predict_one` says of each item, in their order.

    On a processor several are worked on side by side: one image leaves cores idle while its
    pictures are written, and the threads of one operation wait for each other.
    """
    count = min(segmenter.streams, len(items))
    if count < 2:
        for item in items:
            yield predict_one(segmenter, item, out, options)
        return
    pool = ThreadPoolExecutor(count, initializer=share_threads, initargs=(count,))
    waiting: deque[Future[Outcome]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(predict_one, segmenter, item, out, options))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _without_paths(reason: str, item: Item) -> str:
    """The message without the path of a scan, which may hold patient data."""
    if item.is_picture:
        return reason
    for path in (*item.files, item.image):
        for form in (path, printable(path), os.path.basename(path)):
            reason = reason.replace(form, "the file") if form else reason
    return reason


def _study(item: Item, options: PredictOptions) -> Study:
    if not item.files:
        return read_study(item.image, axis=options.axis, window=options.window)
    from causalseg.inference.formats.series import read_series

    return read_series([Path(path) for path in item.files], options.window)


def _predict(segmenter: "Segmenter", item: Item, out: Path, options: PredictOptions) -> Outcome:
    folder = out / item.name
    if "\0" in item.image or not os.path.exists(item.image):
        raise InputError("there is no such file: check the path.")
    remove_leftovers(folder)
    digest = request_digest(item, options)
    if options.resume and is_done(folder, digest):
        return outcome_of(cast(ResultRecord, read_json(folder / RESULT)), item.name, "kept")
    study = _study(item, options)
    tracks = tracks_of(item.prompts, len(study.frames))
    answers = segment_study(segmenter, study, tracks, options.sides, strict=options.strict)
    _check_quality(answers, options.min_quality)
    general = [*study.warnings, *domain_warnings(study, segmenter.provenance)]
    with replacing_folder(folder) as part:
        written = write_answers(segmenter, study, answers, part, options, general)
        content = {
            "note": "Research software, not a medical device.",
            "version": __version__,
            "image": item.source,
            "row": item.row,
            "request": digest,
            "options": options.settings(),
            "model": options.model,
            **({} if item.is_picture else {"files": [sha256_of(f) for f in _source_files(item)]}),
            **written,
            "warnings": general + written["warnings"],
            "sha256": {path.name: sha256_of(path) for path in sorted(part.iterdir())},
        }
        write_json(part / RESULT, content, sync=False)
    return outcome_of(cast(ResultRecord, content), item.name, "done")


def _check_quality(answers: Sequence[TrackAnswer], least: float | None) -> None:
    """Raise SetAsideError where a mask's expected Dice is lower than the user accepts."""
    if least is None:
        return
    for answer in answers:
        about = f"the mask of {answer.track.description!r}"
        if answer.expected is not None and answer.expected.dice < least:
            raise SetAsideError(
                f"{about} has an expected Dice of {answer.expected}, below {least:g}: look at the "
                "image."
            )
        if answer.expected is None and any(not s.empty for s in answer.sentences.values()):
            raise SetAsideError(f"how good {about} is cannot be told: look at the image.")
