"""What published image weights expect of their input."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each colour channel, on the scale 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CLIP = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
UNIT = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""To -1..1, as for many vision transformers (ViLT, timm's)."""
