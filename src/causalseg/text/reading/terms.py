"""What a word or phrase stands for: the kinds of terms, and a place."""

from dataclasses import dataclass
from enum import Enum

from causalseg.text.grammar_lung import ZONES
from causalseg.text.words import SIDES

BOTH = SIDES
CAUSE_WORDS = frozenset(
    "infection infections infective infectious pneumonia pneumonic covid pneumonitis inflammatory "
    "bronchopneumonia aspiration".split()
)
"""Words for an infection as the cause of what is seen."""


class Kind(Enum):
    """What a term does in a sentence."""

    FINDING = "finding"
    """An opacity, or an infection: what the model segments."""
    CAUSE = "cause"
    """An adjective of infection ("infective"): a finding only where nothing else is named."""
    OTHER = "other"
    """A finding of another kind; its value says which."""
    ABNORMAL = "abnormal"
    """An abnormality that is not named ("abnormality", "acute process")."""
    PLACE = "place"
    ALL = "all"
    """Diffuse, throughout, multifocal."""
    LUNG = "lung"
    NOT_LUNG = "not lung"
    """Another part of the chest: heart, bones, pleura."""
    ELSEWHERE = "elsewhere"
    """A part of the body that is not the chest."""
    STUDY = "study"
    """The examination as a whole."""
    CLEAR = "clear"
    NORMAL = "normal"
    NOT = "not"
    """Negates what follows."""
    GONE = "gone"
    """Negates what stands before it ("is not seen"), or the finding last spoken of."""
    GONE_OF = "gone of"
    """Says that what follows is gone ("resolution of")."""
    KEPT = "kept"
    """A negation that leaves the finding where it is ("not resolved", "no change in")."""
    DOUBT = "doubt"
    """Makes what follows uncertain."""
    DOUBTED = "doubted"
    """Makes what stands before it uncertain."""
    MAYBE = "maybe"
    """May, could, might: of what is seen, or only of its cause."""
    ARTEFACT = "artefact"
    LIMITED = "limited"
    """Cannot be judged."""
    RATHER = "rather"
    """Denies the cause that follows ("rather than infection")."""
    EXCEPT = "except"
    SPARED = "spared"
    """What stands before it is spared."""
    BUT = "but"
    JOIN = "join"
    """And, or, with."""
    PAUSE = "pause"
    """Comma, colon, bracket."""
    MOSTLY = "mostly"
    """The places that follow are where most of it is, and count as the place."""
    WORSE = "worse"
    """The places that follow are where it is worse; elsewhere it is too."""
    UNLIKE = "unlike"
    """The places that follow are compared with, and have nothing."""
    NO_PLACE = "no place"
    """Places that follow belong to something else than the lungs."""
    PAST = "past"
    NOW = "now"
    STILL = "still"
    REST = "rest"
    """The places left over ("elsewhere", "otherwise")."""
    AFFECTED = "affected"
    """Says that the place has the finding spoken of."""
    THERE = "there"
    """The place spoken of before."""
    HEADING = "heading"
    """Begins a sentence that is not a finding (indication, technique)."""
    ASK = "ask"
    """Segment, show, find."""
    SEGMENT = "segment"
    FRAME = "frame"
    """Says whose sides are meant: "viewer" or "patient"."""
    SAME = "same"
    """Nothing has changed."""
    PLAIN = "plain"
    """Understood, and decides nothing."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Place:
    """A place as one word gives it; what it leaves open, its neighbours fill in."""

    sides: tuple[str, ...] = ()
    heights: tuple[str, ...] = ()
    both: bool = False
    """With no side anywhere near it, it is in both lungs (bases, the lower zones)."""
    default: str | None = None
    """The side it has where none is said: the lingula is left."""
    weak: bool = False
    """A border or the diaphragm: a place only where no other is given."""


@dataclass(frozen=True)
class Term:
    """A word or phrase of a sentence with what it stands for."""

    kind: Kind
    text: str
    """As written."""
    value: str = ""
    """Of other findings and frames, which; of joins, the word."""
    place: Place | None = None
    key: str = ""
    """Lower case."""
    at: int = -1
    """Its number in the text: two like terms are told apart by it."""


def heights(*names: str) -> tuple[str, ...]:
    """Names of zones in their order, from the top."""
    return tuple(zone for zone in ZONES if zone in names)
