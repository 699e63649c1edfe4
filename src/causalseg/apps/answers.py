"""What the server and the page say about one mask, in the source's own geometry."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from causalseg.apps import rle
from causalseg.errors import InputError
from causalseg.inference.default import checkpoint_path
from causalseg.inference.domain import domain_warnings
from causalseg.inference.formats import Study
from causalseg.inference.maps import foreground
from causalseg.inference.segmentation import Segmentation
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import segment_notes
from causalseg.models.checks import Expected
from causalseg.scratch import private_folder
from causalseg.version import __version__

NOTE = "Research software, not a medical device."


@dataclass(frozen=True)
class Identity:
    """Which model answered."""

    name: str
    """File name, without its folder."""
    sha256: str
    """Of the checkpoint, as `sha256sum` prints it."""
    flip: bool = False
    """Answers are averaged with those to the mirrored image and sentence."""

    @classmethod
    def of(cls, path: str | Path, *, flip: bool = False) -> Self:
        """Identity of a checkpoint, or of the packaged model by its name `default`.

        Raises:
            InputError: the file cannot be read.

        """
        found = checkpoint_path(path)
        try:
            with found.open("rb") as file:
                return cls(found.name, hashlib.file_digest(file, "sha256").hexdigest(), flip)
        except OSError as error:
            raise InputError(f"--model {path} cannot be read ({error.strerror}).") from None

    def to_dict(self) -> dict[str, str | bool]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """A mask at one threshold, turned back to how the source is stored."""

    mask: NDArray[np.uint8]
    """(H, W) in {0, 1}, of the source's rows and columns."""
    text: str
    threshold: float
    highest: float
    """The highest probability of a pixel, in [0, 1]."""
    area_mm2: float | None
    """None where the file does not give the spacing."""
    warnings: tuple[str, ...]
    read_as: str = ""
    """The sentence that the text was read as; "" where it was taken as written."""
    meant: str = ""
    """Which lungs that is, in words."""
    expected: Expected | None = None
    """Dice to be expected of the mask at the model's own threshold; None where it is not known."""
    corrected: bool = False
    """Whether a person has painted on the mask."""
    empty_by_text: bool = False
    """Whether the mask is empty for what the text says, whatever the image shows."""

    def to_dict(self, model: Identity) -> dict[str, Any]:
        """As JSON: the mask as COCO's run lengths."""
        return {
            "note": NOTE,
            "version": __version__,
            "model": model.to_dict(),
            "text": self.text,
            "read_as": self.read_as,
            "meant": self.meant,
            "height": self.mask.shape[0],
            "width": self.mask.shape[1],
            "threshold": self.threshold,
            "highest_probability": self.highest,
            "pixels": int(self.mask.sum()),
            "area_mm2": self.area_mm2,
            "expected_dice": asdict(self.expected) if self.expected else None,
            "mask": rle.encode(self.mask),
            "warnings": list(self.warnings),
        }


def answer(
    study: Study,
    result: Segmentation,
    segmenter: Segmenter,
    threshold: float | None = None,
    painted: NDArray[np.uint8] | None = None,
) -> Answer:
    """Draw the line at a threshold, by default the model's own.

    Args:
        study: the source, with one frame.
        result: what the model made of that frame.
        segmenter: for what it was trained on and how many words it reads.
        threshold: in [0, 1]; a pixel is inside when its probability reaches it.
        painted: (H, W) of the displayed frame, a mask corrected by hand that counts instead.

    """
    line = result.threshold if threshold is None else threshold
    mask = automatic(result, line) if painted is None else painted
    spacing = study.spacing
    return Answer(
        mask=np.ascontiguousarray(study.display.undo(mask)),
        text=result.text,
        threshold=line,
        highest=round(float(result.probability.max()), 4),
        area_mm2=round(int(mask.sum()) * spacing[0] * spacing[1], 4) if spacing else None,
        warnings=warnings_of(study, result, segmenter, int(mask.sum())),
        read_as=result.read_as,
        meant=result.meant,
        expected=result.expected if painted is None and line == result.threshold else None,
        corrected=painted is not None,
        empty_by_text=result.sentence is not None and result.sentence.empty,
    )


def automatic(result: Segmentation, threshold: float) -> NDArray[np.uint8]:
    """The mask {0, 1} (H, W) at a threshold; empty where the text says that there is nothing."""
    mask = foreground(result.probability, threshold).astype(np.uint8)
    if result.sentence is not None and result.sentence.empty:
        mask[:] = 0
    return mask


def warnings_of(
    study: Study, result: Segmentation, segmenter: Segmenter, pixels: int
) -> tuple[str, ...]:
    """All warnings for a mask of that many pixels, each once."""
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


def seg_bytes(study: Study, answers: Sequence[Answer], model: Identity) -> bytes:
    """One DICOM SEG with a segment for each answer, described as `causalseg predict` does.

    Raises:
        InputError: the source is not DICOM, or its header lacks what the object must refer to.

    """
    from causalseg.inference.formats.seg import write_seg

    notes = [
        segment_notes(one.read_as, one.meant, one.warnings)
        + (["corrected by hand."] if one.corrected else [])
        for one in answers
    ]
    with private_folder() as folder:
        path = folder / "segmentation.dcm"
        write_seg(
            study,
            [one.text for one in answers],
            [study.display.apply(one.mask)[None] for one in answers],
            path,
            notes=notes,
            model=model.sha256,
        )
        return path.read_bytes()
