"""From what a user writes to what a model is given, with all warnings about it.

A checkpoint says in its provenance whether its captions are chest captions, whose sides they mean
and in which wording they are. A sentence for such a model is read (`causalseg.text.reading`) and
the model gets the canonical sentence in that wording and those sides. Any other model gets the
sentence as written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from causalseg.errors import InputError
from causalseg.inference.zones import meaning
from causalseg.text.captions import parse
from causalseg.text.clean import clean_text
from causalseg.text.grammar_lung import LungFinding, LungWording
from causalseg.text.reading import Reading, Sides, read
from causalseg.text.reading.nearest import nearest_readable
from causalseg.text.words import OTHER_SIDE, SIDES, CaptionError

AS_WRITTEN = "this model has no reading of its own: the sentence is taken as written."
NOT_READ = "this model reads no text: every sentence gets the same mask."
NOTHING_SAID = (
    "the text says that there is nothing: the mask is empty because of that, whatever the image "
    "shows."
)
NOTHING_FOUND = (
    "the model found nothing for this sentence: an empty mask does not mean that there is no "
    "disease."
)
NOT_MIRRORED = (
    "the text cannot be mirrored, so its answer is not averaged with that to the mirrored image."
)
NOT_SEGMENTED = "which this model does not segment"
# Data sets of chest captions whose sides are the viewer's, by a part of their folder's name.
_CHEST = ("qata", "mosmed")


@dataclass(frozen=True)
class CaptionKind:
    """What a chest checkpoint's captions are like; kept in its provenance as `captions`."""

    sides: Sides = "viewer"
    wording: LungWording = "sgseg"
    """Of the sentences that are composed for it."""
    also: tuple[LungWording, ...] = ()
    """Other wordings that its captions had; captions in these are given as they are."""

    def to_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"reading": "chest", **asdict(self), "also": list(self.also)}


@dataclass(frozen=True)
class Sentence:
    """A sentence on its way to a model, and back to the user."""

    text: str
    """As written."""
    given: str
    """What the model gets."""
    read_as: str = ""
    """The canonical sentence that the text was read as; "" where it is taken as written."""
    meant: str = ""
    """Which lungs, in words: by the picture and by the patient. "" where none is named."""
    empty: bool = False
    """The mask stays empty whatever the model finds: the text says nothing is there, or names
    something else than the model segments."""
    status: str = "as written"
    patient_sides: frozenset[str] | None = frozenset()
    """Lungs named, in the patient's sides; None where a side is named but not whose."""
    warnings: tuple[str, ...] = field(default=())
    zones: tuple[tuple[str, str], ...] = ()
    """(side, height) pairs in which the mask must lie, in the picture's sides; () where no place is
    said, the text is not sure, or the model was not trained on QaTa-COV19."""

    def about(self, *, pixels: int) -> tuple[str, ...]:
        """The warnings for this sentence's mask, which has that many pixels."""
        if self.empty or pixels:
            return self.warnings
        return (*self.warnings, NOTHING_FOUND)


def segment_notes(read_as: str, meant: str, warnings: Sequence[str]) -> list[str]:
    """What a DICOM segment says about its answer: how the sentence was read, and all warnings.

    What decides whether the mask may be believed at all stands first, since a viewer may cut a
    description.
    """
    first = [
        note for note in warnings if note in (NOTHING_SAID, NOTHING_FOUND) or NOT_SEGMENTED in note
    ]
    told = [f"read as: {read_as}" if read_as else "", meant, *first, *warnings]
    return [note for note in dict.fromkeys(told) if note]


def caption_kind(provenance: Mapping[str, Any]) -> CaptionKind | None:
    """What a checkpoint's captions are like, or None where it does not read. A checkpoint from
    before this was recorded is a chest one if its data is: its card, or the folder that it was
    trained on, names QaTa-COV19 or MosMedData+.
    """
    recorded = provenance.get("captions")
    if isinstance(recorded, Mapping):
        if recorded.get("reading") != "chest":
            return None
        sides: Any = recorded.get("sides")
        wording: Any = recorded.get("wording", "sgseg")
        also: Any = recorded.get("also", [])
        known = get_args(LungWording)
        if (
            sides not in get_args(Sides)
            or not isinstance(also, list)
            or not all(one in known for one in [wording, *also])
        ):
            raise InputError(
                f"the checkpoint records captions of sides {sides!r} in wording {wording!r}, which "
                "this version does not know: update causalseg."
            )
        return CaptionKind(sides, wording, tuple(also))
    if "captions" in provenance:
        return None
    return CaptionKind() if any(name in _trained_on(provenance) for name in _CHEST) else None


def _trained_on(provenance: Mapping[str, Any]) -> str:
    """What the card and the folders of the training data say, in lower case."""
    card = provenance.get("card")
    trained = [card.get("trained on")] if isinstance(card, Mapping) else []
    data = provenance.get("data")
    for split in data.values() if isinstance(data, Mapping) else []:
        trained.append(split.get("root") if isinstance(split, Mapping) else None)
    return " ".join(str(part).lower() for part in trained if part)


def kind_of_captions(captions: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint records of the captions that it is trained on.

    Chest captions are those of the lung grammar, all of them; their sides are the viewer's.
    """
    wordings: set[LungWording] = set()
    for caption in dict.fromkeys(captions):
        try:
            finding = parse(caption)
        except CaptionError:
            return {"reading": None}
        if not isinstance(finding, LungFinding):
            return {"reading": None}
        wordings.add(finding.wording)
    if not wordings:
        return {"reading": None}
    wording: LungWording = "lvit" if wordings == {"lvit"} else "sgseg"
    return CaptionKind(wording=wording, also=tuple(sorted(wordings - {wording}))).to_dict()


def read_for(
    provenance: Mapping[str, Any],
    text: "str | Sentence",
    sides: Sides | None = None,
    *,
    strict: bool = False,
) -> Sentence:
    """Read a text for a model.

    Args:
        provenance: the checkpoint's.
        text: as written; a sentence that was read already is returned.
        sides: whose left is meant where the text does not say so: by default the patient's, and in
            the wording of QaTa-COV19's captions the viewer's.
        strict: refuse what is not read, instead of warning.

    Raises:
        InputError: the text cannot be used at all (`clean_text`), an unknown `sides`, or `strict`
            and the text is not read or names another finding.

    """
    if isinstance(text, Sentence):
        return text
    if sides is not None and sides not in get_args(Sides):
        raise InputError(f"sides are patient or viewer, not {sides!r}.")
    kind = caption_kind(provenance)
    cleaned = clean_text(text)
    if kind is None:
        named = any(side in cleaned.lower().split() for side in SIDES)
        return Sentence(
            text, cleaned, patient_sides=None if named else frozenset(), warnings=(AS_WRITTEN,)
        )
    found = read(text, sides)
    if found.status == "other":
        return _other(text, found, strict=strict)
    if found.status == "unread":
        return _unread(text, cleaned, found, strict=strict)
    if found.status == "absent":
        given = found.canonical(kind.sides, kind.wording)
        return Sentence(
            text, given, given, empty=True, status="absent", warnings=(*found.notes, NOTHING_SAID)
        )
    checked = "qata" in _trained_on(provenance)  # in CT slices the zones' names mean other rows
    return Sentence(
        text,
        _same_caption(cleaned, found, kind) or found.canonical(kind.sides, kind.wording),
        found.canonical(kind.sides, kind.wording),
        meaning(found),
        status=found.status,
        patient_sides=frozenset(side for side, _ in found.asked("patient")),
        warnings=found.notes,
        zones=found.asked("viewer") if found.status == "present" and checked else (),
    )


def picture_zones(given: str, provenance: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Zones that a caption for the model names: half of the picture ("left", "right"), height."""
    kind = caption_kind(provenance)
    try:
        finding = parse(given)
    except CaptionError:
        return frozenset()
    if kind is None or not isinstance(finding, LungFinding):
        return frozenset()
    if kind.sides == "viewer":
        return finding.zones
    return frozenset((OTHER_SIDE[side], height) for side, height in finding.zones)


def named_halves(given: str, provenance: Mapping[str, Any]) -> frozenset[str]:
    """Halves of the picture whose lung a caption for the model names."""
    return frozenset(side for side, _ in picture_zones(given, provenance))


def unread_sentence(text: "str | Sentence", *, strict: bool = False) -> Sentence:
    """A text for a model that reads none.

    Raises:
        InputError: the text cannot be used at all (`clean_text`), or `strict`.

    """
    if strict:
        raise InputError("this model reads no text: leave out strict, or use a model that reads.")
    if isinstance(text, Sentence):
        return text
    return Sentence(text, clean_text(text), warnings=(NOT_READ,))


def _same_caption(text: str, found: Reading, kind: CaptionKind) -> str | None:
    """The text itself where it is a caption of the checkpoint's own wording and sides."""
    try:
        finding = parse(text)
    except CaptionError:
        return None
    wordings = (kind.wording, *kind.also)
    own = isinstance(finding, LungFinding) and finding.wording in wordings
    return text if own and found.sides == kind.sides else None


def _other(text: str, found: Reading, *, strict: bool) -> Sentence:
    names = " and ".join(found.other) or "another finding"
    told = f"the text names {names}, {NOT_SEGMENTED}"
    if strict:
        raise InputError(f"{told}: ask for an opacity or an infection.")
    return Sentence(
        text,
        text,
        empty=True,
        status="other",
        warnings=(
            *found.notes,
            f"{told}: the mask is left empty, which says nothing about {names}.",
        ),
    )


def _unread(text: str, cleaned: str, found: Reading, *, strict: bool) -> Sentence:
    words = ", ".join(dict.fromkeys(found.unread)) or cleaned
    nearest = nearest_readable(cleaned)
    told = f"the text was not understood ({words})"
    if strict:
        reasons = " ".join(found.notes)
        raise InputError(f"{told}. {reasons} A sentence that is: {nearest!r}.")
    named = any(side in cleaned.lower().split() for side in SIDES)
    return Sentence(
        text,
        cleaned,
        status="unread",
        patient_sides=None if named else frozenset(),
        warnings=(
            *found.notes,
            f"{told} and goes to the model as written: do not rely on the mask. A sentence that is "
            f"understood: {nearest!r}.",
        ),
    )
