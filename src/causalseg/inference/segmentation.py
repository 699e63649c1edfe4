"""The answer to one image and one sentence."""

from base64 import b64encode
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import Picture
from causalseg.inference.encoded import probabilities
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.sentences import Sentence
from causalseg.inference.zones import misplaced
from causalseg.models.checks import Expected
from causalseg.models.output import SegmentationOutput
from causalseg.models.presence import Shown
from causalseg.models.trust import Trust


@dataclass(frozen=True, repr=False)
class Segmentation:
    """A mask and how it came about. All arrays but `attention` have the source's (H, W)."""

    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3): the source's pixels."""
    text: str
    """As written."""
    mask: NDArray[np.uint8]
    """(H, W) in {0, 1}: where the probability reaches the threshold."""
    probability: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    threshold: float
    attention: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """"stage2", ... -> causal mask M at that stage's own size, in [0, 1]; a mask per channel is
    averaged over channels. The confounding mask is `1 - M`."""
    warnings: tuple[str, ...] = ()
    """What must be known before the mask is trusted, one sentence each."""
    sentence: Sentence | None = None
    """How the text was read."""
    expected: Expected | None = None
    """Dice that such a mask had on validation images; None where that is not known."""
    spacing: tuple[float, float] | None = None
    """Millimetres between rows and between columns as displayed; None where nothing says so."""

    @property
    def area_mm2(self) -> float | None:
        """Area of the mask in square millimetres; None where the pixels' size is not known."""
        if self.spacing is None:
            return None
        return int(self.mask.sum()) * self.spacing[0] * self.spacing[1]

    def __repr__(self) -> str:
        rows, columns = self.mask.shape
        area = "" if self.area_mm2 is None else f" ({self.area_mm2:.0f} mm2)"
        warned = f", {len(self.warnings)} warnings" if self.warnings else ""
        return (
            f"Segmentation({self.text!r}, {rows} x {columns} px, {int(self.mask.sum())} px in the "
            f"mask{area}{warned})"
        )

    def _repr_html_(self) -> str:
        """The picture with its mask, and the warnings, for a notebook."""
        from causalseg.inference.outputs import png_bytes
        from causalseg.inference.pictures import overlay

        picture = b64encode(png_bytes(overlay(self.image, self.mask))).decode()
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.warnings)
        return (
            f'<img alt="the mask over the image" style="max-width: 100%" '
            f'src="data:image/png;base64,{picture}"><p>{escape(repr(self))}</p><ul>{notes}</ul>'
        )

    @property
    def read_as(self) -> str:
        """The sentence that the text was read as; "" where it was taken as written."""
        return self.sentence.read_as if self.sentence else ""

    @property
    def meant(self) -> str:
        """Which lungs that is, by the picture and by the patient, in words."""
        return self.sentence.meant if self.sentence else ""

    def save(self, folder: str | Path, name: str) -> list[Path]:
        """Write mask, probability, overlay and heat maps as PNG files named `NAME_*.png`.

        Returns:
            The files written.

        """
        from causalseg.inference.outputs import save_pictures

        return save_pictures(self, Path(folder), name)


def answer_of(
    picture: Picture, sentence: Sentence, output: SegmentationOutput, index: int, threshold: float
) -> Segmentation:
    """The answer at the size and in the geometry of the source, not checked yet.

    Args:
        picture: as the model saw it, upright; the answer lies as its file does.
        sentence: as it was read.
        output: of all sentences that were asked at once.
        index: of this one among them.
        threshold: on the probability.

    """
    undo, pixels = picture.display.undo, picture.pixels
    # A mask M depends on the image alone, so one image's maps serve all its texts.
    maps = {
        f"stage{stage}": undo(m[min(index, len(m) - 1)].mean(0).float().cpu().numpy())
        for stage, m in output.attention.items()
    }
    probability = resize_map(probabilities(output)[index], (pixels.shape[0], pixels.shape[1]))
    if sentence.empty:
        probability = np.zeros_like(probability)
    mask = foreground(probability, threshold).astype(np.uint8)
    return Segmentation(
        undo(pixels),
        sentence.text,
        undo(mask),
        undo(probability),
        threshold,
        maps,
        picture.warnings,
        sentence,
        spacing=picture.spacing,
    )


def checked(
    found: Segmentation,
    trust: Trust,
    upright: NDArray[np.uint8],
    deep: NDArray[np.float32] | None,
    shown: Shown,
) -> Segmentation:
    """An answer with what its model knows of itself.

    Args:
        found: the answer.
        trust: the checks that the model brings.
        upright: its mask as the model saw the picture.
        deep: (C, h, w), the image's deepest features, where the model gives them.
        shown: lungs that the text names and in which the image shows nothing, or little.

    """
    about = found.sentence.about(pixels=int(found.mask.sum())) if found.sentence else ()
    elsewhere = misplaced(upright, found.sentence.zones) if found.sentence else None
    warnings = (
        *found.warnings,
        *trust.warnings(deep, upright, shown),
        *([elsewhere] if elsewhere else []),
        *about,
    )
    expected = trust.overlap(found.probability, found.mask) if trust.overlap else None
    return replace(found, warnings=warnings, expected=expected)
