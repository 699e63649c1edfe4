"""The captions of a split as tokens, with their mirrored and rewritten forms."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import get_args

import numpy as np

from causalseg.data.rewrites import Keeps, Rewrite, RewriteConfig, RewriteKind, rewrites
from causalseg.text.captions import mirror_caption
from causalseg.text.readers.base import TextReader


@dataclass(frozen=True)
class TextRow:
    """One text of an image."""

    row: int
    """Of `TextTable.tokens`."""
    mirrored: int | None
    """Row of the text with left and right exchanged, for the mirrored image; None where the
    sides cannot be exchanged safely."""
    keeps: Keeps = "all"
    """The part of the mask that the text asks for."""


class TextTable:
    """Every distinct text of a split, read once.

    Attributes:
        tokens: (D, L) int64.
        own: each record's own caption.
        rewritten: the captions that `draw` may give instead.

    """

    def __init__(
        self, captions: Sequence[str], reader: TextReader, *, mirror: bool, rewrite: RewriteConfig
    ) -> None:
        """Read all texts.

        Args:
            captions: each record's caption.
            reader: the model's; what it cannot take is cut.
            mirror: also read the texts of mirrored images.
            rewrite: how often `draw` gives another text.

        """
        self._rows: dict[str, int] = {}
        self._mirror = mirror
        self._edges = np.cumsum(rewrite.chances)
        distinct = {caption: self._reading(Rewrite(caption, "all")) for caption in captions}
        drawn = [kind for kind in get_args(RewriteKind) if getattr(rewrite, kind) > 0]
        others: dict[str, dict[RewriteKind, list[TextRow]]] = {}
        self.rewritten: list[str] = []
        for caption in distinct if drawn else ():
            found = rewrites(caption)
            others[caption] = {kind: [self._reading(c) for c in found[kind]] for kind in drawn}
            self.rewritten += [c.caption for kind in drawn for c in found[kind]]
        self.own = [distinct[caption] for caption in captions]
        self._others = [others.get(caption) for caption in captions]
        self.tokens = reader(list(self._rows))

    def read_by(self, reader: TextReader) -> "TextTable":
        """The same texts as another model's tokens."""
        table = copy(self)
        table.tokens = reader(list(self._rows))
        return table

    def _reading(self, choice: Rewrite) -> TextRow:
        swapped = mirror_caption(choice.caption) if self._mirror else None
        row = self._row(choice.caption)
        return TextRow(row, None if swapped is None else self._row(swapped), choice.keeps)

    def _row(self, text: str) -> int:
        return self._rows.setdefault(text, len(self._rows))

    def draw(self, rng: np.random.Generator, index: int) -> TextRow:
        """The text of a record for one training step: its own, or now and then a rewrite."""
        others = self._others[index]
        if others is None:
            return self.own[index]
        kind = int(np.searchsorted(self._edges, rng.random(), side="right"))
        choices = others[get_args(RewriteKind)[kind]] if kind < len(self._edges) else []
        return choices[int(rng.integers(len(choices)))] if choices else self.own[index]
