"""Run the probes over a set of images and sum up the answers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest
from causalseg.data.phantom import PHANTOM_ZONES, describe_zones, draw_caption, draw_phantom, truth
from causalseg.errors import InputError
from causalseg.evaluation.faithfulness.adapter import TextSegmenter
from causalseg.evaluation.faithfulness.measures import (
    MEASURE_WORDS,
    TESTS,
    MeasureResult,
    Measures,
    TestResult,
    measure,
)
from causalseg.evaluation.faithfulness.probes import (
    Case,
    Others,
    Probe,
    named_but_absent,
    others_of,
    probes_of,
)
from causalseg.evaluation.metrics import BoolArray
from causalseg.evaluation.predictions import Prediction
from causalseg.evaluation.statistics import cluster_bootstrap, cluster_codes
from causalseg.files import Row
from causalseg.inference.maps import foreground


@dataclass(frozen=True)
class Cases:
    """The images to ask about, loaded one by one."""

    title: str
    captions: tuple[str, ...]
    load: Callable[[int], Case]
    fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self.captions)


@dataclass(frozen=True)
class CaseAnswer:
    """One probe's masks (h, w), mirrored back where the image was, and its measures."""

    probe: Probe
    before: BoolArray
    after: BoolArray
    edited_truth: BoolArray | None
    """Of the edited caption, where known."""
    measures: Measures


def real_cases(manifest: Manifest) -> Cases:
    """The records of a manifest."""

    def load(index: int) -> Case:
        r = manifest.records[index]
        return Case(r.name, r.subject, read_image(r.image), r.caption, read_mask(r.mask))

    return Cases(
        f"{manifest.root.name} ({manifest.split})",
        tuple(record.caption for record in manifest.records),
        load,
        manifest.fingerprint(),
    )


def phantom_suite(count: int, seed: int, size: int = 224) -> Cases:
    """Freshly drawn phantoms, for which the true mask of any edited caption is known."""
    cases = []
    for i in range(count):
        # Training sets are seeded by (seed, subject); a third number keeps these apart from all.
        rng = np.random.default_rng((seed, i, 1))
        phantom = draw_phantom(rng, size=size)
        caption = draw_caption(rng, phantom)

        def truth_for(text: str, phantom: Any = phantom) -> BoolArray:
            return truth(phantom, text)

        mask = truth_for(caption)
        cases.append(Case(f"phantom {i:05d}", None, phantom.image, caption, mask, truth_for))
    return Cases("phantoms", tuple(case.caption for case in cases), cases.__getitem__)


def ask(model: TextSegmenter, case: Case, probes: Sequence[Probe]) -> list[CaseAnswer]:
    """Put the probes to the model; each distinct text is run once, each image encoded once."""
    encoded = model.encode(case.image)
    texts = list(dict.fromkeys([case.caption, *(p.edited for p in probes if not p.mirrored)]))
    masks = dict(zip(texts, _masks(model, encoded, texts), strict=True))
    flipped = [p.edited for p in probes if p.mirrored]
    mirrored: dict[str, BoolArray] = {}
    if flipped:
        encoded = model.encode(np.ascontiguousarray(case.image[:, ::-1]))
        found = _masks(model, encoded, flipped)
        mirrored = {text: mask[:, ::-1] for text, mask in zip(flipped, found, strict=True)}
    before = masks[case.caption]
    true = Prediction(case.truth).at(before.shape).mask
    answers = []
    for probe in probes:
        after = (mirrored if probe.mirrored else masks)[probe.edited]
        edited = _edited_truth(case, probe, before.shape)
        measures = measure(probe, before, after, true, edited)
        answers.append(CaseAnswer(probe, before, after, edited, measures))
    return answers


def _masks(model: TextSegmenter, encoded: Any, texts: Sequence[str]) -> NDArray[np.bool_]:
    maps = model.probabilities(encoded, texts)
    if maps.ndim != 3 or len(maps) != len(texts):
        raise InputError(
            f"the model's 'probabilities' gave shape {maps.shape} for {len(texts)} texts; "
            "it must be (texts, height, width)."
        )
    return foreground(maps, model.threshold())


def _edited_truth(case: Case, probe: Probe, shape: tuple[int, int]) -> BoolArray | None:
    if case.truth_for is None or probe.mirrored:
        return None
    if probe.empty:
        return np.zeros(shape, bool)
    if probe.truth_as is None:
        return None
    return Prediction(case.truth_for(probe.truth_as)).at(shape).mask


def probes_for(case: Case, others: Others, seed: int) -> list[Probe]:
    """The caption's probes, and those that name what the image does not have."""
    probes = probes_of(case.caption, others, seed)
    probes += named_but_absent(case)
    if case.truth_for is not None:
        free = [zone for zone in PHANTOM_ZONES if not case.truth_for(describe_zones([zone])).any()]
        if free:
            probes.append(Probe("absent zones", describe_zones(free), empty=True))
    return probes


def run_suite(
    model: TextSegmenter,
    cases: Cases,
    *,
    seed: int = 0,
    tests: Collection[str] = tuple(TESTS),
    tick: Callable[[], None] = lambda: None,
) -> list[Row]:
    """One row per probe of the given tests, with the measures that are defined for it."""
    if len(cases) < 2:
        raise InputError("the suite needs at least two images, to exchange their captions.")
    rows = []
    for i, others in enumerate(others_of(cases.captions, seed)):
        case = cases.load(i)
        probes = [probe for probe in probes_for(case, others, seed) if probe.test in tests]
        for answer in ask(model, case, probes):
            rows.append(
                {
                    "image": i,
                    "name": case.name,
                    "subject": case.subject or "",
                    "test": answer.probe.test,
                    "caption": case.caption,
                    "edited": answer.probe.edited,
                }
                | {key: answer.measures.get(key, "") for key in MEASURE_WORDS}
            )
        tick()
    return rows


def ask_again(model: TextSegmenter, cases: Cases, row: Row, seed: int) -> tuple[Case, CaseAnswer]:
    """The answer behind a row, for its picture."""
    case, others = cases.load(row["image"]), others_of(cases.captions, seed)[row["image"]]
    probes = [
        probe
        for probe in probes_for(case, others, seed)
        if (probe.test, probe.edited) == (row["test"], row["edited"])
    ]
    return case, ask(model, case, probes[:1])[0]


def summarise_suite(
    rows: Sequence[Row], *, resamples: int = 10_000, seed: int = 0
) -> dict[str, TestResult]:
    """Each test's measures as means with intervals by subject."""
    summary = {}
    for name, test in TESTS.items():
        mine = [row for row in rows if row["test"] == name]
        if not mine:
            continue
        measures = {}
        for key, words in MEASURE_WORDS.items():
            kept = [row for row in mine if row[key] != ""]
            if kept:
                # Several paraphrases of one image are one cluster, even without a subject.
                clusters = cluster_codes([row["subject"] or row["name"] for row in kept])
                values = [row[key] for row in kept]
                found = cluster_bootstrap(values, clusters, resamples=resamples, seed=seed)
                measures[key] = MeasureResult(**vars(found), words=words, answers=len(kept))
        images = len({row["image"] for row in mine})
        summary[name] = TestResult(**vars(test), images=images, measures=measures)
    return summary
