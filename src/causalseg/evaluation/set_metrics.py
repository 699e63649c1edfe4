"""The figures of a scored set of images: what metrics.json holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from causalseg.evaluation.metrics import EMPTY_RULE
from causalseg.evaluation.scoring import ScoringOptions
from causalseg.evaluation.statistics import Interval
from causalseg.evaluation.surface import LESION_RULE
from causalseg.version import __version__

_RULES = {"empty masks": EMPTY_RULE, "lesions": LESION_RULE}


@dataclass(frozen=True)
class CountedInterval(Interval):
    """An interval over some of the images."""

    images: int


@dataclass(frozen=True)
class ScoredData:
    """Which data was scored."""

    root: str
    split: str
    fingerprint: str
    left_out: list[str]
    """Problems of the records that were left out."""


@dataclass(frozen=True)
class DataSummary:
    """What all runs of a table were scored on."""

    root: str
    split: str
    fingerprint: str
    images: int
    subjects: int

    def __str__(self) -> str:
        return (
            f"{self.root}, {self.split} split: {self.images} images of {self.subjects} subjects, "
            f"fingerprint {self.fingerprint[:16]}"
        )


@dataclass(frozen=True)
class SizeMetrics:
    """Scores at one size of the masks: the model's, or each image's own."""

    macro: dict[str, Interval]
    """Measure -> mean over the images."""
    micro: dict[str, Interval]
    """Dice and IoU of pixels that are summed over all images first."""
    micro_iou_from_dice: float
    """D / (2 - D) of the micro Dice. It must equal the micro IoU, and tells micro from macro."""
    null_accuracy: CountedInterval | None
    """Share of the images with an empty true mask for which nothing is predicted."""
    macro_dice_where_a_lesion_is: Interval | None


@dataclass(frozen=True)
class ReliabilityBins:
    """A value for each bin of the predicted probability; None where the bin is empty."""

    pixels: list[float]
    mean_probability: list[float | None]
    foreground_share: list[float | None]


@dataclass(frozen=True)
class CalibrationMetrics:
    """Means over images, and the pixels of all images in bins."""

    brier: Interval
    ece: Interval
    bins: ReliabilityBins


@dataclass(frozen=True)
class SelectiveRisk:
    """The risk-coverage curve and its areas; see `causalseg.evaluation.risk`."""

    aurc: float
    optimal_aurc: float
    mean_risk: float
    coverage: list[float]
    selective_risk: list[float]
    confidence: str = "soft Dice of the probabilities with their own mask"
    risk: str = "1 - Dice"


CONTROLS = {
    "mean_mask": "mean training mask",
    "caption_mean_mask": "mean mask of the caption",
    "no_text": "image without text",
    "no_place": "text that names no place: what the image alone earns",
    "other_text": "text of another image",
    "other_text_where_different": "text of another image, where it reads differently",
}
"""A control's name in `ControlResults` and metrics.json -> what it is, in words."""


@dataclass(frozen=True)
class ControlResults:
    """Macro Dice of the controls that were run."""

    mean_mask: CountedInterval | None = None
    caption_mean_mask: CountedInterval | None = None
    threshold: float | None = None
    """Of both mean masks."""
    captions_never_seen_in_training: int | None = None
    no_text: CountedInterval | None = None
    no_place: CountedInterval | None = None
    other_text: CountedInterval | None = None
    other_text_where_different: CountedInterval | None = None

    def rows(self) -> list[tuple[str, CountedInterval]]:
        """(words, interval) of each control that was run."""
        found = ((words, getattr(self, key)) for key, words in CONTROLS.items())
        return [(words, value) for words, value in found if value is not None]


@dataclass(frozen=True)
class SetMetrics:
    """Everything that metrics.json holds."""

    data: ScoredData
    options: ScoringOptions
    images: int
    subjects: int
    images_without_known_subject: int
    predictions_resized: int
    """How many came at another size than their mask."""
    images_with_lesion: int
    lesions_left_empty: int
    """Images with a lesion for which nothing at all is predicted; each scores 0."""
    model_size: SizeMetrics
    native_size: SizeMetrics
    calibration: CalibrationMetrics | None
    """None, like `risk_coverage`, where masks were scored and not probabilities."""
    risk_coverage: SelectiveRisk | None
    run: Mapping[str, object]
    """The command and the model or folder that was scored."""
    controls: ControlResults | None

    @property
    def warning(self) -> str | None:
        """What explains a score of 0: nothing is predicted anywhere."""
        if not 0 < self.images_with_lesion == self.lesions_left_empty:
            return None
        return (
            f"nothing is marked in any of the {self.images_with_lesion} images with a lesion, so "
            "that their Dice is 0: a model that was trained for a few steps alone answers so."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data; what was not measured is left out."""
        found = asdict(self)
        found["warnings"] = [self.warning] if self.warning else []
        found["options"]["unit"] = self.options.unit
        if self.controls is not None:
            given = found["controls"].items()
            found["controls"] = {key: value for key, value in given if value is not None}
        kept = {key: value for key, value in found.items() if value is not None}
        return {"version": __version__, "rules": _RULES} | kept
