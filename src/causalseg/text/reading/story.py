"""What has been said in a text so far: its mentions of findings, and places."""

from dataclasses import dataclass, field

from causalseg.text.reading.terms import Kind, Term


@dataclass
class Mention:
    """One finding named in the text, or a place said to be clear."""

    kind: Kind
    term: Term
    status: str
    """present, absent or uncertain."""
    sentence: int
    clause: int
    places: list[list[Term]] = field(default_factory=list)
    spared: list[list[Term]] = field(default_factory=list)
    why: list[Term] = field(default_factory=list)
    """Words that made it absent or uncertain."""
    past: bool = False
    background: bool = False
    """Said of the past or the reason for the study, not of this image."""
    rest: bool = False
    """Of the places left over ("otherwise clear")."""
    excepted: bool = False
    """What lungs that are clear have nevertheless ("clear apart from haziness at the base")."""
    put_down: bool = False
    """An opacity that the text puts down to a finding of another kind."""
    distant: Term | None = None
    """What denies it from another clause."""
    asked: bool = False
    """Asked by whoever wants the study ("rule out pneumonia"); the rest may answer it."""
    adjacent: bool = False
    """Beside what was named before ("overlying consolidation")."""

    @property
    def infection(self) -> bool:
        """Whether it is a finding that the model segments."""
        return self.kind in (Kind.FINDING, Kind.CAUSE, Kind.ABNORMAL)


ASKS = "the text is a question: what it asks about was read as uncertain."


@dataclass
class Story:
    """All that has been said so far."""

    mentions: list[Mention] = field(default_factory=list)
    places: list[list[Term]] = field(default_factory=list)
    """The places last spoken of."""
    alone: list[list[Term]] = field(default_factory=list)
    """Places that belong to no finding."""
    excepted: list[list[Term]] = field(default_factory=list)
    """Places left out of a finding that is named only later."""
    used: set[int] = field(default_factory=set)
    """Numbers of terms that decided something and belong to no mention."""
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, sentence: str) -> None:
        """Keep a sentence for the reader, once."""
        self.notes[sentence] = None

    def last(self) -> Mention | None:
        """The finding spoken of last: what "it" is."""
        seen = [one for one in self.mentions if one.infection and not one.background]
        return seen[-1] if seen else None
