"""What has been said in a text so far."""

from dataclasses import dataclass, field

from causalseg.text.reading.mentions import Mention
from causalseg.text.reading.terms import Term


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
