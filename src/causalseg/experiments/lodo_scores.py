"""Scores of the domain left out, image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from causalseg.files import Row


@dataclass(frozen=True)
class FrameScore:
    """One image of the domain left out, at the model's size: a row of `per_image.csv`."""

    name: str
    subject: str
    """"" where it is not known."""
    domain: str
    empty: bool
    """Whether the true mask is."""
    dice: float
    iou: float
    accuracy: float
    tp: int
    fp: int
    fn: int
    tn: int

    def fields(self) -> Row:
        """As a row of a table."""
        return asdict(self) | {"empty": int(self.empty)}

    @classmethod
    def from_fields(cls, row: Mapping[str, str]) -> "FrameScore":
        """Of a row of text that `fields` gave."""
        return cls(
            name=row["name"],
            subject=row["subject"],
            domain=row["domain"],
            empty=row["empty"] == "1",
            dice=float(row["dice"]),
            iou=float(row["iou"]),
            accuracy=float(row["accuracy"]),
            tp=int(row["tp"]),
            fp=int(row["fp"]),
            fn=int(row["fn"]),
            tn=int(row["tn"]),
        )


@dataclass(frozen=True)
class CellScores:
    """Per-image scores of one run on the domain it never saw."""

    fold: str
    row: str
    seed: int
    images: Sequence[FrameScore]
