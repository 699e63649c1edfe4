"""The rows of MCDRL's study: its modules alone, controls of them, and another model beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One configuration of the table, as a change of the full model."""

    model: Mapping[str, Any] = field(default_factory=dict)
    """Options that replace those of the config."""
    photometric: bool = False
    """Colour and blur augmentation in addition."""
    architecture: str = "mcdrl"
    captions: bool = False
    """Each image's own caption, instead of one generic prompt for all."""


_NO_INTERVENTION = {"intervention": False, "alpha": 1.0}

ROWS: dict[str, Row] = {
    "baseline": Row(_NO_INTERVENTION),
    # With `keep` the selection alone would change nothing: what is not selected is kept.
    "regions": Row({"intervention": False, "elsewhere": "zero"}),
    "intervention": Row({"alpha": 1.0}),
    "full": Row(),
    "full-zero": Row({"elsewhere": "zero"}),
    "random": Row({"dictionary": "random"}),
    "learned": Row({"dictionary": "learned"}),
    "shuffled": Row({"dictionary": "shuffled"}),
    "irrelevant": Row({"dictionary": "irrelevant"}),
    "self-attention": Row({"attend": "self"}),
    "no-residual": Row({"residual": False}),
    "no-causal-loss": Row({"causal_weight": 0.0}),
    "augmentation": Row(_NO_INTERVENTION, photometric=True),
    "causalclipseg": Row(architecture="causalclipseg"),
    "causalclipseg-captions": Row(architecture="causalclipseg", captions=True),
}
"""By name: modules alone, controls, and CausalCLIPSeg with a generic prompt or with captions
(which name the position, so that row knows more than the others)."""

PAPER_ROWS = ("baseline", "regions", "intervention", "full", "random")
