"""What became of a request for one image: in Python, and as its folder's `result.json` says it."""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

Ending = Literal["done", "kept", "set aside", "failed"]
"""`kept`: whole from an earlier run; `set aside`: too doubtful, for a reader to look at."""


@dataclass(frozen=True)
class ReadText:
    """What a text was read as."""

    text: str
    read_as: str
    """The canonical sentence; "" where the text is taken as written."""
    meant: str
    """Which lungs that is, in words; "" where none is named."""


@dataclass(frozen=True)
class Outcome:
    """How one image and its prompts went."""

    row: int
    """Number of its first row in the table, or of the argument, from 1."""
    name: str
    """Folder of its results."""
    status: Ending
    reason: str = ""
    """Why it failed or was set aside, without patient data."""
    warnings: tuple[str, ...] = ()
    """Of the image and of every mask, each once."""
    sentences: tuple[ReadText, ...] = ()
    """One for each mask."""
    areas: tuple[tuple[float, str], ...] = ()
    """Size of each mask and its unit: px, mm2 or mm3."""
    seconds: float = 0.0


class MaskRecord(TypedDict):
    """One mask in `result.json`."""

    text: str
    pixels: int
    slices: NotRequired[list[int]]
    """Those that were asked for, where not all were."""
    area_mm2: NotRequired[float]
    volume_mm3: NotRequired[float]
    expected_dice: NotRequired[dict[str, float]]
    """`Expected`, by its fields."""
    read_as: str
    meant: str
    warnings: list[str]
    files: list[str]


class DisplayRecord(TypedDict):
    """How the source was turned to be looked at."""

    transposed: bool
    flipped_rows: bool
    flipped_columns: bool


class WrittenRecord(TypedDict):
    """The part of `result.json` about the source and the masks."""

    kind: str
    format: str
    frames: int
    shape: list[int]
    """Of a mask, as the source is stored."""
    spacing_mm: list[float] | None
    thickness_mm: float | None
    slice_axis: int | None
    modality: str | None
    body_part: str | None
    display: DisplayRecord
    warnings: list[str]
    masks: list[MaskRecord]


class ResultRecord(WrittenRecord):
    """`result.json`."""

    note: str
    version: str
    image: str
    files: NotRequired[list[str]]
    """SHA-256 of a scan's files, whose names may hold patient data."""
    row: int
    request: str
    """SHA-256 of everything that decides the results."""
    options: dict[str, Any]
    """`PredictOptions` by its fields; null stands for a default of the model or of the source."""
    model: str
    """SHA-256 of the checkpoint."""
    sha256: dict[str, str]
    """Of each file of the folder."""


def outcome_of(record: ResultRecord, name: str, status: Ending) -> Outcome:
    """What is told of a result that was written."""
    masks = record["masks"]
    notes = list(record["warnings"])
    for mask in masks:
        # With several texts a warning says which one it is about, unless it holds for all.
        for note in mask["warnings"]:
            shared = all(note in other["warnings"] for other in masks)
            notes.append(note if shared else f"{mask['text']!r}: {note}")
    return Outcome(
        row=record["row"],
        name=name,
        status=status,
        warnings=tuple(dict.fromkeys(notes)),
        sentences=tuple(ReadText(mask["text"], mask["read_as"], mask["meant"]) for mask in masks),
        areas=tuple(_area(mask) for mask in masks),
    )


def _area(mask: MaskRecord) -> tuple[float, str]:
    """A mask's size in the unit that says most."""
    if "volume_mm3" in mask:
        return mask["volume_mm3"], "mm3"
    if "area_mm2" in mask:
        return mask["area_mm2"], "mm2"
    return mask["pixels"], "px"
