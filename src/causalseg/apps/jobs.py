"""Jobs: the images of a folder or a study, kept on disk and segmented one after another.

A job is a folder that appears whole: `job.json` (what was asked), `images/0001`, ... as they were
sent, `results/0001/`, ... as `causalseg predict` writes them, and in the end `report.json` and
`results.zip`. A job's folder is its whole state, so a process that is killed at any moment
continues the same job and keeps the results that were whole.
"""

import json
import os
import secrets
import shutil
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, Field

from causalseg.apps.limits import NAME, Limits, check_file
from causalseg.errors import InputError
from causalseg.files import replacing, replacing_folder, write_bytes, write_json
from causalseg.inference.outcome import ReadText
from causalseg.inference.predict import RESULT, predict_one
from causalseg.inference.requests import Item, plan_images
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.tracks import PredictOptions
from causalseg.inputs import read_json
from causalseg.text.reading import Sides

MOST_JOBS = 32
"""Jobs that are kept, finished or not."""
KEPT_S = 24 * 3600.0
"""How long a finished job is kept."""
MOST_IMAGES = 1000
"""Images of one job."""
MOST_VOXELS = 4
"""Pixels of one study times its texts, in `max_pixels`: they are held in memory together."""
ZIP, REPORT = "results.zip", "report.json"


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    texts: tuple[str, ...]
    names: tuple[str, ...]
    """Names of its images, as the client calls them."""
    created: float
    """Seconds since 1970."""
    sides: Sides | None = None
    strict: bool = False


class Worked(BaseModel):
    """One image, or the slices of one DICOM series."""

    images: list[str] = Field(description="Names, as they were sent")
    folder: str = Field(
        default="", description="Of its results in the archive; empty where it failed early"
    )
    status: Literal["done", "failed"]
    reason: str = Field(default="", description="Of a failure")
    warnings: list[str] = []
    sentences: list[ReadText] = []


@dataclass(frozen=True)
class Job:
    """A folder with a job in it."""

    folder: Path

    @property
    def id(self) -> str:
        """Its name, which nobody can guess."""
        return self.folder.name

    @property
    def request(self) -> Request:
        """What was asked."""
        found = read_json(self.folder / "job.json")
        found["texts"], found["names"] = tuple(found["texts"]), tuple(found["names"])
        return Request(**found)

    @property
    def done(self) -> bool:
        """Whether its results are whole."""
        return (self.folder / ZIP).is_file()

    def report(self) -> list[Worked]:
        """What became of each image or study that was processed."""
        path = self.folder / REPORT
        return [Worked(**one) for one in read_json(path)["results"]] if path.is_file() else []


class Store:
    """The folder of all jobs, readable only by its owner.

    Raises:
        InputError: it cannot be used, or another process uses it.

    """

    def __init__(self, folder: Path) -> None:
        import fcntl

        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.chmod(folder, 0o700)
            self._lock = open(folder / ".lock", "w")  # noqa: SIM115 - held for the process' life
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"--jobs {folder} is used by another server: name another.") from None
        except OSError as error:
            raise InputError(f"--jobs {folder} cannot be used: {error.strerror}.") from None
        for left in folder.glob(".*.part"):  # left by a job that was being sent
            shutil.rmtree(left, ignore_errors=True)

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        found = []
        for path in self.folder.glob("[!.]*/job.json"):
            with suppress(InputError):  # Removed at this moment, or damaged.
                found.append((Job(path.parent).request.created, path.parent))
        return [Job(folder) for _, folder in sorted(found)]

    def find(self, name: str) -> Job | None:
        """The job of that id."""
        job = Job(self.folder / name)
        return job if (job.folder / "job.json").is_file() else None

    def add(self, images: Sequence[BinaryIO], request: Request) -> Job:
        """Keep a job; it is on disk, whole, when this returns.

        Raises:
            InputError: it cannot be written.

        """
        job = Job(self.folder / secrets.token_hex(16))
        with replacing_folder(job.folder) as part:
            (part / "images").mkdir()
            for number, content in enumerate(images, start=1):
                with (part / "images" / f"{number:04d}").open("xb") as file:
                    shutil.copyfileobj(content, file)
            write_json(part / "job.json", asdict(request))
        return job

    def remove(self, job: Job) -> None:
        """Remove it, and everything that belongs to it."""
        (job.folder / "job.json").unlink(missing_ok=True)  # From here on it is no job.
        shutil.rmtree(job.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove jobs that were finished long ago or only half removed."""
        for path in self.folder.iterdir():
            half = path.is_dir() and not (path / "job.json").is_file()
            if half and not path.name.startswith("."):  # A hidden one is being sent.
                shutil.rmtree(path, ignore_errors=True)
        for job in self.all():
            if job.done and time.time() - (job.folder / ZIP).stat().st_mtime > KEPT_S:
                self.remove(job)


def work(job: Job, segmenter: Segmenter, limits: Limits, model: str) -> None:
    """Do the rest of a job.

    Args:
        job: to be finished; it stands in a store.
        segmenter: for this thread alone.
        limits: of each image.
        model: SHA-256 of the checkpoint: another model's results are not kept.

    Raises:
        InputError, OSError: the results cannot be written; it can be tried again.

    """
    request, results = job.request, job.folder / "results"
    results.mkdir(exist_ok=True)
    options = PredictOptions(model=model, sides=request.sides, strict=request.strict, resume=True)
    reports, usable = _check(job, request, limits)
    told = 0.0
    for item in _items(list(usable), request.texts):
        files = [Path(path) for path in item.files or (item.image,)]
        images = _names(request, files)
        pixels = sum(usable[path] for path in files) * len(request.texts)
        if pixels > MOST_VOXELS * limits.max_pixels:
            reason = f"{pixels} pixels, counted for each text, are too many: send fewer together."
            reports.append(Worked(images=images, status="failed", reason=reason))
        else:
            outcome = predict_one(segmenter, item, results, options)
            reports.append(
                Worked(
                    images=images,
                    folder=outcome.name,
                    status="failed" if outcome.status == "failed" else "done",
                    reason=_without(job.folder, outcome.reason),
                    warnings=list(outcome.warnings),
                    sentences=list(outcome.sentences),
                )
            )
        if time.monotonic() - told > 1:
            told = time.monotonic()
            write_bytes(job.folder / REPORT, _as_json(reports))
    finish(job, reports)


def _check(job: Job, request: Request, limits: Limits) -> tuple[list[Worked], dict[Path, int]]:
    """What cannot be used, and the pixels of what can."""
    refused, usable = [], {}
    for number in range(1, len(request.names) + 1):
        path = job.folder / "images" / f"{number:04d}"
        try:
            usable[path] = check_file(path, limits)
        except InputError as error:
            names = _names(request, [path])
            refused.append(Worked(images=names, status="failed", reason=str(error)))
    return refused, usable


def _items(files: Sequence[Path], texts: Sequence[str]) -> list[Item]:
    """The images, with the slices of a DICOM series together, each named by its first number."""
    if not files:
        return []
    plan = plan_images([str(path) for path in files], texts)
    return [replace(item, name=Path(item.image).name) for item in plan.items]


def _names(request: Request, files: Sequence[Path]) -> list[str]:
    return [request.names[int(path.name) - 1] for path in files]


def _without(folder: Path, sentence: str) -> str:
    """The sentence without this machine's paths."""
    words = [NAME if str(folder) in word else word for word in sentence.split(" ")]
    return " ".join(words)


def give_up(job: Job, reason: str) -> None:
    """End a job that cannot be worked on."""
    finish(job, [Worked(images=list(job.request.names), status="failed", reason=reason)])


def finish(job: Job, reports: Sequence[Worked]) -> None:
    """Write the report, and all results as one archive, whole or not at all."""
    content = _as_json(reports)
    write_bytes(job.folder / REPORT, content)
    with replacing(job.folder / ZIP) as part, zipfile.ZipFile(part, "w") as archive:
        archive.writestr(REPORT, content)
        for report in reports:
            if report.status == "failed":
                continue
            folder = job.folder / "results" / report.folder
            for path in sorted(folder.iterdir()):
                name = f"{report.folder}/{path.name}"
                if path.name == RESULT:
                    # It names the source by its path on this machine.
                    found = {**read_json(path), "image": report.images[0]}
                    found.pop("files", None)
                    archive.writestr(name, json.dumps(found, indent=2))
                else:
                    archive.write(path, name)


def _as_json(reports: Sequence[Worked]) -> bytes:
    return json.dumps({"results": [one.model_dump() for one in reports]}, indent=2).encode()
