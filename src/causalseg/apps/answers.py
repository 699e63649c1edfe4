"""What the server and the page say about one mask, in the source's own geometry."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.apps import rle
from causalseg.inference.domain import domain_warnings
from causalseg.inference.formats import Study
from causalseg.inference.maps import foreground
from causalseg.inference.segmenter import Segmentation, Segmenter
from causalseg.version import __version__

NOTE = "Research software, not a medical device."


@dataclass(frozen=True)
class Answer:
    """A mask at one threshold, turned back to how the source is stored."""

    mask: NDArray[np.uint8]
    """(H, W) in {0, 1}, of the source's rows and columns."""
    text: str
    threshold: float
    area_mm2: float | None
    """None where the file does not give the spacing."""
    warnings: tuple[str, ...]
    read_as: str = ""
    """The sentence that the text was read as; "" where it was taken as written."""
    meant: str = ""
    """Which lungs that is, in words."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the mask as COCO's run lengths."""
        return {
            "note": NOTE,
            "version": __version__,
            "text": self.text,
            "read_as": self.read_as,
            "meant": self.meant,
            "height": self.mask.shape[0],
            "width": self.mask.shape[1],
            "threshold": self.threshold,
            "pixels": int(self.mask.sum()),
            "area_mm2": self.area_mm2,
            "mask": rle.encode(self.mask),
            "warnings": list(self.warnings),
        }


def answer(
    study: Study, result: Segmentation, segmenter: Segmenter, threshold: float | None = None
) -> Answer:
    """Draw the line at a threshold, by default the model's own.

    Args:
        study: the source, with one frame.
        result: what the model made of that frame.
        segmenter: for what it was trained on and how many words it reads.
        threshold: in [0, 1]; a pixel is inside when its probability reaches it.

    """
    line = result.threshold if threshold is None else threshold
    mask = foreground(result.probability, line).astype(np.uint8)
    if result.sentence is not None and result.sentence.empty:
        mask[:] = 0
    spacing = study.spacing
    return Answer(
        mask=np.ascontiguousarray(study.display.undo(mask)),
        text=result.text,
        threshold=line,
        area_mm2=round(int(mask.sum()) * spacing[0] * spacing[1], 4) if spacing else None,
        warnings=warnings_of(study, result, segmenter, int(mask.sum())),
        read_as=result.read_as,
        meant=result.meant,
    )


def warnings_of(
    study: Study, result: Segmentation, segmenter: Segmenter, pixels: int
) -> tuple[str, ...]:
    """Everything that must be said beside a mask of so many pixels, each sentence once."""
    from causalseg.inference.writers import sentence_warnings

    sentences = [result.sentence] if result.sentence else []
    said = {note for one in sentences for note in one.about(pixels=0)}
    notes = [
        *study.warnings,
        *domain_warnings(study, segmenter.provenance),
        *(note for note in result.warnings if note not in said),
        *(note for one in sentences for note in one.about(pixels=pixels)),
        *sentence_warnings(segmenter, study, sentences),
    ]
    return tuple(dict.fromkeys(notes))
