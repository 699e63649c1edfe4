"""What one validation image says of a model, from which its checks are set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalseg.evaluation.metrics import dice_from_counts
from causalseg.models.presence import PresenceCheck


@dataclass(frozen=True)
class SeenZone:
    """One zone of a half of a picture under the image's own caption."""

    evidence: float
    named: bool
    clear: bool
    """Whether no pixel of the true mask lies in its rows."""


@dataclass(frozen=True)
class Half:
    """One half of a picture under the image's own caption."""

    evidence: float
    named: bool
    truth: int
    """Pixels of the true mask."""
    found: int
    """Pixels of the model's mask."""
    common: int
    zones: tuple[SeenZone, ...] = ()

    @property
    def asked(self) -> float | None:
        """Evidence of the zones that are named, where they are less than the lung."""
        found = [zone.evidence for zone in self.zones if zone.named]
        return max(found) if 0 < len(found) < len(self.zones) else None

    @property
    def others(self) -> list[float]:
        """Evidence of each zone that is not named and clear, where the lung has a finding."""
        return [z.evidence for z in self.zones if self.truth and z.clear and not z.named]

    def doubted(self, check: PresenceCheck) -> bool:
        """Whether the mask of the named lung, or of the zones named in it, is doubted."""
        asked = self.asked
        return self.evidence < check.doubt or (asked is not None and asked < check.zone)


@dataclass(frozen=True)
class Seen:
    """What a validation image says."""

    subject: str
    halves: tuple[Half, Half]
    scores: tuple[float, ...]
    """Expected overlap at each of `trust_fit.TEMPERATURES`; nan where the mask is empty."""
    other_empty: bool | None
    """Where only one lung has a finding: whether the healthy lung's mask was empty; else None."""
    summary: NDArray[np.float32] | None
    cells: NDArray[np.bool_]
    """Coarse grid: cells that the mask touches."""

    def dice(self, threshold: float = 0.0) -> float:
        """Dice of the mask without the named halves whose evidence is below the threshold."""
        kept = [not (h.named and h.evidence < threshold) for h in self.halves]
        common = sum(h.common for h, keep in zip(self.halves, kept, strict=True) if keep)
        found = sum(h.found for h, keep in zip(self.halves, kept, strict=True) if keep)
        truth = sum(h.truth for h in self.halves)
        return float(dice_from_counts(common, found - common, truth - common))

    def doubted(self, check: PresenceCheck) -> bool:
        """Whether a named half with a finding is doubted, or left empty."""
        return any(h.named and h.truth and h.doubted(check) for h in self.halves)

    @property
    def healthy(self) -> Half | None:
        """The half without a finding, where just one lung has one and the caption says so."""
        empty = [h for h in self.halves if not h.named and h.truth == 0]
        return empty[0] if len(empty) == 1 else None
