"""What a leaderboard is made of: its rows, and the budget that all of them share."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from causalseg.errors import InputError
from causalseg.experiments.axes import AblationConfig, Changes
from causalseg.models.registry import model_class

SYSTEMS = (
    "unet", "causalclipseg", "lvit", "nnunet", "lavt", "attentionunet", "unetplusplus", "transunet",
    "swinunet", "uctransnet", "vilt", "mcdrl", "convirt", "gloria", "tganet",
)  # fmt: skip
"""The thirteen systems of Table 1, CausalCLIPSeg and MCDRL; a stopped run has the first of them."""


@dataclass(kw_only=True)
class LeaderboardConfig(AblationConfig):
    """A leaderboard: systems with the same data, steps, augmentation, selection and threshold rule.

    Nothing stops a row early, so that all take the same number of optimisation steps; the epoch
    and the threshold are chosen on validation. Networks whose positions belong to one image size
    are built for `data.size`.

    Raises:
        InputError: a row, seeds or devices cannot be used.

    """

    rows: list[str] | dict[str, dict[str, Any]] = field(default_factory=list)
    """Architectures; or name of a row -> what it changes of the base, as in `ablate`'s `models`
    (its architecture is its name unless given). Left out: all fifteen."""
    references: list[str] = field(default_factory=lambda: ["unet", "causalclipseg"])
    """Rows that every other is compared with, in pairs, corrected together."""
    probe_limit: int | None = None
    """Ask about edited captions on this many of the scored images only."""
    entries: dict[str, str] = field(default_factory=dict)
    """Name -> folder of `causalseg score` or `evaluate` on the same split: further rows, trained
    in whatever way."""

    def __post_init__(self) -> None:
        if self.axes or self.reference:
            raise InputError("a leaderboard has rows and references; axes are for 'ablate'.")
        named = self.rows or SYSTEMS
        rows = named if isinstance(named, dict) else {name: {} for name in named}
        self.models = {name: self._row(name, changes or {}) for name, changes in rows.items()}
        self.references = [name for name in self.references if name in rows]
        self.trainer = replace(self.trainer, patience=self.trainer.max_epochs)
        if twice := sorted(set(self.entries) & set(rows)):
            raise InputError(f"entries: there is a row {twice[0]!r} already; rename the entry.")
        if self.probe_limit is not None and self.probe_limit < 2:
            raise InputError(f"probe_limit must be at least 2, not {self.probe_limit}.")
        super().__post_init__()

    def _row(self, name: str, changes: Changes) -> Changes:
        architecture = changes.get("architecture", name)
        known = {f.name for f in fields(model_class(architecture).config_class)}
        own = {**self.model, **changes.get("model", {})}
        if "resolution" in known:
            own.setdefault("resolution", changes.get("data.size", self.data.size))
        return {**changes, "architecture": architecture, "model": own}
