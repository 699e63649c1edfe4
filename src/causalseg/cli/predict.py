"""`causalseg predict`: segment images, folders and prompt tables from text."""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli import predict_dicomweb, predict_ray
from causalseg.cli.predict_index import writing_index
from causalseg.cli.predict_options import options_of, parser
from causalseg.cli.starting import quick_start
from causalseg.errors import InputError
from causalseg.files import writing_alone
from causalseg.progress import track
from causalseg.scratch import private_folder
from causalseg.terminal import say

if TYPE_CHECKING:
    from causalseg.inference.outcome import Outcome
    from causalseg.inference.requests import Plan
    from causalseg.inference.segmenter import Segmenter
    from causalseg.inference.tracks import PredictOptions

_SHOWN = 20


def main(argv: list[str]) -> int:
    """Run the command; the exit code is explained in its help."""
    arguments = parser().parse_args(argv)
    predict_dicomweb.check(arguments)
    if arguments.engine == "ray":
        return predict_ray.run_ray(arguments, *options_of(arguments))
    if not arguments.dicomweb:
        return _run(arguments, _plan(arguments))[0]
    # What was fetched holds patient data: it is private, and gone afterwards.
    with private_folder() as folder:
        code, outcomes = _run(arguments, predict_dicomweb.plan(arguments, folder))
    if arguments.store:
        return max(code, predict_dicomweb.store_results(arguments, outcomes))
    return code


def _run(arguments: argparse.Namespace, plan: "Plan") -> "tuple[int, list[Outcome]]":
    """Segment a plan's items; the exit code and how each item went."""
    options, checkpoint = options_of(arguments)
    out: Path = arguments.out
    _prepare(out, plan, keep=arguments.resume or arguments.overwrite)

    with writing_alone(out):
        segmenter = _load(checkpoint, arguments.device, options)
        outcomes = list(track(_local(segmenter, plan, out, options), "segmenting", len(plan.items)))
    return _report(plan, outcomes, out), outcomes


@quick_start()
def _load(checkpoint: Path, device: str, options: "PredictOptions") -> "Segmenter":
    from causalseg.inference.segmenter import Segmenter

    return Segmenter.load(checkpoint, device=device, threshold=options.threshold, flip=options.flip)


@quick_start()
def _plan(arguments: argparse.Namespace) -> "Plan":
    from causalseg.inference.requests import plan_images, read_requests

    if arguments.prompts is not None:
        if arguments.images or arguments.text:
            raise InputError("--prompts names images and texts itself: leave out IMAGE and --text.")
        return read_requests(arguments.prompts)
    if not arguments.images:
        raise InputError("there is nothing to segment: name an image, a folder, or --prompts FILE.")
    out = arguments.out.absolute()
    for image in arguments.images:
        if (
            "\0" not in image
            and os.path.isdir(image)
            and out.is_relative_to(Path(image).absolute())
        ):
            raise InputError(
                f"--out {arguments.out} lies inside {image}, whose images are to be segmented: "
                "choose a folder outside, so that results are never taken for images."
            )
    return plan_images(arguments.images, arguments.text)


def _prepare(out: Path, plan: "Plan", *, keep: bool) -> None:
    """Make the folder; refuse to replace existing results unless told to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        present = set(os.listdir(out))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {out} cannot be used as a folder: {reason}.") from None
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {out} is not writable: choose another folder.")
    there = sum(item.name in present for item in plan.items)
    if there and not keep:
        raise InputError(
            f"--out {out} holds results for {there} of these images already: give --resume to keep "
            "what is done, --overwrite to make it again, or another --out."
        )


def _local(
    segmenter: "Segmenter", plan: "Plan", out: Path, options: "PredictOptions"
) -> "Iterator[Outcome]":
    from causalseg.inference.predict import predict_all

    with writing_index(out / "index.csv", plan) as add:
        outcomes = predict_all(segmenter, plan.items, out, options)
        for item, outcome in zip(plan.items, outcomes, strict=True):
            add(item, outcome)
            yield outcome


def _report(plan: "Plan", outcomes: "Sequence[Outcome]", out: Path) -> int:
    """Report failures and warnings; return the exit code."""
    failed = [(failure.row, f"row {failure.row}", failure.reason) for failure in plan.failures]
    failed += [
        (outcome.row, item.label, outcome.reason)
        for item, outcome in zip(plan.items, outcomes, strict=True)
        if outcome.status == "failed"
    ]
    failed.sort()
    counts = Counter(outcome.status for outcome in outcomes)
    warned = Counter(note for outcome in outcomes for note in outcome.warnings)
    _tell_sentences(outcomes)
    for note, times in warned.most_common(_SHOWN):
        say(f"causalseg predict: warning ({times} of {len(outcomes)}): {note}", aside=True)
    if len(warned) > _SHOWN:
        say(
            f"causalseg predict: {len(warned) - _SHOWN} more warnings: {out / 'index.csv'}",
            aside=True,
        )
    if plan.ignored:
        say(f"causalseg predict: {plan.ignored} files are not images and were left out", aside=True)
    for _, label, reason in failed[:_SHOWN]:
        say(f"causalseg predict: error: {label}: {reason}", aside=True)
    if len(failed) > _SHOWN:
        say(f"causalseg predict: {len(failed) - _SHOWN} more: {out / 'index.csv'}", aside=True)
    kept = f", {counts['kept']} kept from before" if counts["kept"] else ""
    aside = [outcome for outcome in outcomes if outcome.status == "set aside"]
    for one in aside[:_SHOWN]:
        say(f"causalseg predict: set aside: {one.name}: {one.reason}")
    kept += f", {len(aside)} set aside" if aside else ""
    say(f"{counts['done']} segmented{kept}, {len(failed)} failed; results in {out}")
    if not counts["done"] and not counts["kept"] and not aside:
        return 2
    return 1 if failed else 0


def _tell_sentences(outcomes: "Sequence[Outcome]") -> None:
    """Say what each sentence was read as, where it was read."""
    told = {one.text: one for found in outcomes for one in found.sentences if one.read_as}
    for one in list(told.values())[:_SHOWN]:
        meant = f" That is: {one.meant}." if one.meant else ""
        say(f"{one.text!r} was read as {one.read_as!r}{meant}")
    if len(told) > _SHOWN:
        say(f"{len(told) - _SHOWN} more sentences: what they were read as is in result.json")
