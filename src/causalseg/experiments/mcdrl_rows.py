"""The rows of MCDRL's study: its modules alone, controls of them, and another model beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LodoRow:
    """One configuration of the table, as a change of the full model."""

    model: Mapping[str, Any] = field(default_factory=dict)
    """Options that replace those of the config."""
    photometric: bool = False
    """Also augment colour and blur."""
    architecture: str = "mcdrl"
    captions: bool = False
    """Each image's own caption, instead of one generic prompt for all."""


_NO_INTERVENTION = {"intervention": False, "alpha": 1.0}

MCDRL_ROWS: dict[str, LodoRow] = {
    "baseline": LodoRow(_NO_INTERVENTION),
    # With `keep` the selection alone would change nothing: what is not selected is kept.
    "regions": LodoRow({"intervention": False, "elsewhere": "zero"}),
    "intervention": LodoRow({"alpha": 1.0}),
    "full": LodoRow(),
    "full-zero": LodoRow({"elsewhere": "zero"}),
    "random": LodoRow({"dictionary": "random"}),
    "learned": LodoRow({"dictionary": "learned"}),
    "shuffled": LodoRow({"dictionary": "shuffled"}),
    "irrelevant": LodoRow({"dictionary": "irrelevant"}),
    "self-attention": LodoRow({"attend": "self"}),
    "no-residual": LodoRow({"residual": False}),
    "no-causal-loss": LodoRow({"causal_weight": 0.0}),
    "augmentation": LodoRow(_NO_INTERVENTION, photometric=True),
    "causalclipseg": LodoRow(architecture="causalclipseg"),
    "causalclipseg-captions": LodoRow(architecture="causalclipseg", captions=True),
}
"""By name: modules alone, controls, and CausalCLIPSeg with a generic prompt or with captions
(which name the position, so that row knows more than the others)."""

PAPER_ROWS = ("baseline", "regions", "intervention", "full", "random")
