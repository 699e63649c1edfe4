"""`causalseg predict --dicomweb`: a study from a DICOMweb server, and the SEG back to it."""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.errors import InputError
from causalseg.terminal import say

if TYPE_CHECKING:
    from causalseg.inference.outcome import Outcome
    from causalseg.inference.requests import Plan


def add_dicomweb_options(parser: argparse.ArgumentParser) -> None:
    """Add `--dicomweb` and what goes with it."""
    group = parser.add_argument_group(
        "from a PACS", "a bearer token is taken from CAUSALSEG_DICOMWEB_TOKEN"
    )
    group.add_argument(
        "--dicomweb",
        metavar="URL",
        help="DICOMweb service, such as http://localhost:8042/dicom-web",
    )
    group.add_argument("--study", metavar="UID", help="Study Instance UID")
    group.add_argument("--series", metavar="UID", help="Series Instance UID (default: all images)")
    group.add_argument(
        "--store", action="store_true", help="send each DICOM SEG back to the service"
    )


def check(arguments: argparse.Namespace) -> None:
    """Raise InputError for options that do not go together."""
    if not arguments.dicomweb:
        if arguments.study or arguments.series or arguments.store:
            raise InputError("--study, --series and --store need --dicomweb URL.")
        return
    if not arguments.study:
        raise InputError("--dicomweb needs --study UID.")
    if arguments.images or arguments.prompts is not None:
        raise InputError("--dicomweb fetches the images itself: leave out IMAGE and --prompts.")
    if arguments.engine == "ray" or arguments.resume:
        raise InputError("--dicomweb goes with neither --engine ray nor --resume.")
    if arguments.store and arguments.format not in ("auto", "seg"):
        raise InputError("--store sends DICOM SEG: leave out --format.")


def plan(arguments: argparse.Namespace, folder: Path) -> "Plan":
    """Fetch the study into `folder`; items are named by their UIDs' hash, whatever the folder."""
    from causalseg.apps.dicomweb import Origin, fetch_study
    from causalseg.inference.requests import plan_images

    fetch_study(Origin.of(arguments.dicomweb), arguments.study, arguments.series, folder)
    made = plan_images([str(folder)], arguments.text)
    items = tuple(
        replace(
            item, name=f"scan-{hashlib.sha256(Path(item.image).stem.encode()).hexdigest()[:12]}"
        )
        for item in made.items
    )
    return replace(made, items=items)


def store_results(arguments: argparse.Namespace, outcomes: "Sequence[Outcome]") -> int:
    """Send the segmentations of what was done; 1 where one could not be sent, else 0."""
    from causalseg.apps.dicomweb import Origin
    from causalseg.apps.dicomweb import store as send

    done = [outcome.name for outcome in outcomes if outcome.status == "done"]
    paths = [arguments.out / name / "segmentation.dcm" for name in done]
    there = [path for path in paths if path.is_file()]
    try:
        send(Origin.of(arguments.dicomweb), there)
    except InputError as error:
        say(f"causalseg predict: error: {error} The files are kept.", aside=True)
        return 1
    say(f"{len(there)} DICOM SEG stored on the server")
    if len(there) < len(paths):
        say(
            f"causalseg predict: {len(paths) - len(there)} images have no DICOM SEG: see the "
            "warnings",
            aside=True,
        )
        return 1
    return 0
