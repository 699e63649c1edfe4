"""What one user of the page has: images, answers and corrections. Nothing here knows the page."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalseg.apps import viewer
from causalseg.apps.answers import Answer, answer, automatic
from causalseg.errors import InputError
from causalseg.evaluation.metrics import dice
from causalseg.inference.formats import Study
from causalseg.inference.requests import clean_prompt
from causalseg.inference.segmentation import Segmentation
from causalseg.inference.segmenter import Segmenter
from causalseg.text.reading import Sides

MAX_IMAGES = 30
_MAX_WORKS = 20
# Pixels of a session's images, and again of its answers: about 1 GB of probabilities.
_MAX_PIXELS = 200_000_000


@dataclass(frozen=True)
class Work:
    """One image with the results of one sentence, or of two that are compared."""

    number: int
    """Of the image in the session, from 0."""
    study: Study
    results: tuple[Segmentation, ...]
    threshold: float
    strokes: NDArray[np.int8] | None = None
    """(h, w) as shown: 1 and 0 where the first mask was painted by hand, -1 elsewhere."""

    def automatic(self, index: int) -> NDArray[np.uint8]:
        """The mask {0, 1} (H, W) that the model gives at the threshold."""
        return automatic(self.results[index], self.threshold)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The mask {0, 1} (H, W) of the displayed frame, with what was painted."""
        found = self.automatic(index)
        if index or self.strokes is None:
            return found
        # Painted on what is shown, which may be smaller: only the strokes are enlarged.
        strokes = viewer.nearest((self.strokes + 1).astype(np.uint8), self.study.shape)
        return np.where(strokes == 0, found, strokes - np.uint8(1)).astype(np.uint8)

    def corrected(self, painted: NDArray[np.uint8]) -> "Work":
        """With the first mask as it was painted, {0, 1} (h, w) as shown."""
        shown = viewer.nearest(self.automatic(0), painted.shape)
        strokes = np.where(painted != shown, painted.astype(np.int8), np.int8(-1))
        return replace(self, strokes=strokes if (strokes >= 0).any() else None)

    def answers(self, segmenter: Segmenter) -> tuple[Answer, ...]:
        """The answer about each mask."""
        return tuple(
            answer(
                self.study,
                found,
                segmenter,
                self.threshold,
                self.mask(0) if i == 0 and self.strokes is not None else None,
            )
            for i, found in enumerate(self.results)
        )


@dataclass(frozen=True)
class Session:
    """Everything that a user has uploaded and asked, oldest first."""

    studies: tuple[Study, ...] = ()
    chosen: int = 0
    works: tuple[Work, ...] = ()
    work: Work | None = None
    """What is shown; it is among `works` once it is made."""

    @property
    def study(self) -> Study | None:
        """The image that is chosen."""
        return self.studies[self.chosen] if self.studies else None

    def with_image(self, study: Study) -> "Session":
        """The session with one more image, which is chosen.

        Raises:
            InputError: there are as many as a session keeps.

        """
        pixels = sum(one.shape[0] * one.shape[1] for one in (*self.studies, study))
        if len(self.studies) >= MAX_IMAGES or pixels > _MAX_PIXELS:
            raise InputError(
                f"a session keeps {MAX_IMAGES} images of {_MAX_PIXELS // 10**6} million pixels in "
                "all: reload the page to start anew."
            )
        return replace(self, studies=(*self.studies, study), chosen=len(self.studies), work=None)

    def with_work(self, work: Work) -> "Session":
        """The session with a new answer, which is shown; the oldest are dropped when there are too
        many.
        """
        works = [*self.works, work]
        while len(works) > 1 and (len(works) > _MAX_WORKS or _pixels(works) > _MAX_PIXELS):
            del works[0]
        return replace(self, works=tuple(works), work=work)

    def changed(self, work: Work) -> "Session":
        """The session with the shown answer replaced by its new version."""
        works = tuple(work if one is self.work else one for one in self.works)
        return replace(self, works=works, work=work)

    def choose(self, number: int) -> "Session":
        """The session with another image, showing its last answer again if it has one."""
        number = min(max(number, 0), len(self.studies) - 1)
        last = next((one for one in reversed(self.works) if one.number == number), None)
        return replace(self, chosen=number, work=last)

    def recall(self, index: int) -> "Session":
        """The session showing an answer of the history, with its image chosen."""
        work = self.works[index]
        return replace(self, chosen=work.number, work=work)


def _pixels(works: list[Work]) -> int:
    return sum(len(one.results) * one.study.shape[0] * one.study.shape[1] for one in works)


def segment(
    segmenter: Segmenter, session: Session, text: str, edited: str, sides: Sides | None = None
) -> Session:
    """Run the model on a sentence and, where it is not empty, on an edited one.

    Args:
        segmenter: the one that the page uses.
        session: with an image.
        text: the sentence.
        edited: another to compare with, or "".
        sides: whose left they mean where they do not say so; None: see `read_for`.

    Raises:
        InputError: there is no image or no sentence, or one cannot be used.

    """
    study = session.study
    if study is None:
        raise InputError("choose an image first.")
    texts = [clean_prompt(text), *([clean_prompt(edited)] if edited.strip() else [])]
    results = tuple(segmenter.prompts(study.frames[0], texts, sides=sides))
    return session.with_work(Work(session.chosen, study, results, segmenter.threshold))


def dice_between(work: Work) -> float | None:
    """Dice of the two masks; None where there is one, or where both are empty."""
    if len(work.results) < 2:
        return None
    first, second = (work.mask(i) > 0 for i in range(2))
    return float(dice(first, second)) if first.any() or second.any() else None


def edges(study: Study) -> tuple[str, str]:
    """The letters at the left and right edge: the patient's sides where the header gives them.

    The standard display has columns that run to the patient's left. A picture says nothing about
    its patient, so there are none.
    """
    sure = study.kind == "dicom" and study.oriented and not study.lateral_view
    return ("R", "L") if sure else ("", "")


def view(session: Session) -> dict[str, object]:
    """The viewer's value for the chosen image and the shown answer."""
    study, work = session.study, session.work
    if study is None:
        return {}
    image = viewer.shrink(study.frames[0])
    shape = (image.shape[0], image.shape[1])
    if work is None:
        return viewer.show(image, session.chosen, edges=edges(study))
    names = ("sentence", "edited sentence") if len(work.results) > 1 else ("mask",)
    masks = {name: viewer.nearest(work.mask(i), shape) for i, name in enumerate(names)}
    return viewer.show(
        image,
        session.chosen,
        masks=masks,
        attention=work.results[0].attention,
        edges=edges(study),
    )
