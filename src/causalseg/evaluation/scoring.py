"""Score predictions against the masks of a manifest, image by image.

Every image is scored twice: at the model's size (S x S, truth resized with nearest neighbour, as
published numbers of this field are) and at the mask's native size (what a user receives).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from causalseg.data.images import read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.evaluation.calibration import Reliability, brier, reliability
from causalseg.evaluation.metrics import (
    BoolArray,
    confusion,
    dice_from_counts,
    iou_from_counts,
)
from causalseg.evaluation.predictions import Prediction
from causalseg.evaluation.risk import soft_dice_confidence
from causalseg.evaluation.surface import lesion_f1, surface_scores
from causalseg.files import Row
from causalseg.progress import Tick

Spacing = tuple[float, float]
NATIVE_PREFIX = "native_"
"""Before the names of columns at the mask's own size."""


@dataclass(frozen=True)
class ScoringOptions:
    """How to score; written into every result."""

    size: int = 224
    """Side S of the model's square, in pixels."""
    tolerance: float = 2.0
    """Of NSD: mm where a spacing is given, else pixels of the size that is scored."""
    spacing: Spacing | Mapping[str, Spacing] | None = None
    """Size of a native pixel, (row, column) in mm: one for all images, or by record name."""
    seed: int = 0
    resamples: int = 10_000

    def __post_init__(self) -> None:
        """Refuse sizes, spacings and tolerances that make no sense."""
        if self.size < 8:
            raise InputError(f"the size must be at least 8 pixels, not {self.size}.")
        if not self.tolerance > 0:
            raise InputError(f"the tolerance must be positive, not {self.tolerance}.")
        by_name = self.spacing if isinstance(self.spacing, Mapping) else {"": self.spacing}
        for name, spacing in by_name.items():
            if spacing is not None and not 0 < min(spacing) <= max(spacing) < np.inf:
                raise InputError(f"the spacing must be positive, not {spacing} {name}".strip())
        if self.resamples < 1:
            raise InputError(f"the number of resamples must be positive, not {self.resamples}.")

    def spacing_of(self, name: str) -> Spacing | None:
        """The spacing of one record; InputError where a table leaves it out."""
        if not isinstance(self.spacing, Mapping):
            return self.spacing
        if name not in self.spacing:
            raise InputError(f"the table of spacings has no row for {name}: add one.")
        return self.spacing[name]

    @property
    def unit(self) -> str:
        """Unit of HD95 and of the NSD tolerance."""
        return "pixels" if self.spacing is None else "mm"


@dataclass
class Scores:
    """Per-image rows, in the manifest's order, and the pooled reliability bins."""

    options: ScoringOptions
    rows: list[Row] = field(default_factory=list)
    reliability: Reliability | None = None
    resized: int = 0
    """Predictions that came at another size than the native mask's."""

    def add(self, record: Record, truth: BoolArray, prediction: Prediction) -> None:
        """Score one image: `truth` (H, W) native; the prediction at any size."""
        size, options = self.options.size, self.options
        spacing = options.spacing_of(record.name)
        small = Preprocessing(size=size).resize_mask(truth)
        row: Row = {
            "name": record.name,
            "subject": record.subject or "",
            "domain": record.domain,
            "caption": record.caption,
            "empty": int(not truth.any()),
            "height": truth.shape[0],
            "width": truth.shape[1],
        }
        at_size = prediction.at((size, size))
        row |= _score(at_size.mask, small, options.tolerance, spacing, truth.shape)
        if at_size.probability is not None:
            bins = reliability(at_size.probability, small)
            row |= {
                "brier": brier(at_size.probability, small),
                "ece": bins.ece,
                "confidence": soft_dice_confidence(at_size.probability, prediction.threshold),
            }
            self.reliability = bins if self.reliability is None else self.reliability + bins
        if truth.shape == (size, size):
            native = {key: row[key] for key in _KEYS}
        else:
            native = _score(
                prediction.at(truth.shape).mask, truth, options.tolerance, spacing, truth.shape
            )
        self.resized += prediction.mask.shape != truth.shape
        self.rows.append(row | {NATIVE_PREFIX + key: value for key, value in native.items()})


_KEYS = ("dice", "iou", "nsd", "hd95", "lesion_f1", "tp", "fp", "fn", "tn")


def _score(
    prediction: BoolArray,
    truth: BoolArray,
    tolerance: float,
    spacing: Spacing | None,
    native: tuple[int, ...],
) -> Row:
    """One image at one size; the spacing is scaled from the native size to this one."""
    counts = confusion(prediction, truth)
    rows, columns = spacing or (1.0, 1.0)
    if spacing is not None:
        rows, columns = rows * native[0] / truth.shape[0], columns * native[1] / truth.shape[1]
    surface = surface_scores(prediction, truth, tolerance=tolerance, spacing=(rows, columns))
    return {
        "dice": float(dice_from_counts(counts.tp, counts.fp, counts.fn)),
        "iou": float(iou_from_counts(counts.tp, counts.fp, counts.fn)),
        "nsd": surface.nsd,
        "hd95": surface.hd95,
        "lesion_f1": lesion_f1(prediction, truth),
        **asdict(counts),
    }


def score(
    manifest: Manifest,
    predictions: Iterable[Prediction],
    options: ScoringOptions,
    tick: Tick = lambda: None,
) -> Scores:
    """Score one prediction for each record of the manifest, in its order.

    Args:
        manifest: what to score against; masks are read from its files.
        predictions: as many as there are records.
        options: see `ScoringOptions`.
        tick: called after each image, for a progress bar.

    Raises:
        ValueError: there are more or fewer predictions than records.

    """
    scores = Scores(options)
    for record, prediction in zip(manifest.records, predictions, strict=True):
        scores.add(record, read_mask(record.mask), prediction)
        tick()
    return scores


def column(rows: Iterable[Row], key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A numeric column (n,) of per-image rows."""
    return np.array([float(row[key]) for row in rows])
