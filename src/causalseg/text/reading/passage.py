"""A text while it is read: what has been found in it so far."""

from dataclasses import dataclass, field

from causalseg.text.reading import frames
from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.normalise import Plain
from causalseg.text.reading.reading import Sides
from causalseg.text.reading.story import Story
from causalseg.text.reading.terms import Kind, Term


@dataclass(frozen=True)
class Frame:
    """Whose sides a text means."""

    sides: Sides
    said: bool
    """The text says so itself."""
    why: str = ""
    """The words that say so."""
    mixed: bool = False
    """It gives the viewer's sides besides, which are left aside."""
    unsure: bool = False
    """Its wording is near that of captions in the viewer's sides."""


@dataclass
class Passage:
    """One text on its way to a reading."""

    text: str
    frame: Frame
    story: Story = field(default_factory=Story)
    sentences: dict[int, list[Term]] = field(default_factory=dict)
    """The terms of each sentence, by its number."""
    clauses: dict[int, list[Clause]] = field(default_factory=dict)
    phrases: dict[int, list[Term]] = field(default_factory=dict)
    """What the lexicon has for the words of each sentence that was not skipped."""
    corrections: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Words that were not understood, in sentences that name a finding, a place or the like."""
    stray: list[str] = field(default_factory=list)
    """Those in other sentences."""
    placed: int | None = None
    """The sentence, if it is the last one, that named a place and no finding."""

    @property
    def terms(self) -> list[Term]:
        """All terms."""
        return [term for terms in self.sentences.values() for term in terms]

    @property
    def same(self) -> Term | None:
        """The words by which the text only compares ("unchanged")."""
        begins: tuple[str, ...] = ("unchanged", "no change", "stable")
        if not any(term.place for term in self.terms):
            begins = (*begins, "worse", "improve", "deteriorat", "progress")
        return next(
            (t for t in self.terms if t.kind is Kind.SAME or t.key.startswith(begins)), None
        )


def frame_of(words: Plain, sides: Sides | None) -> Frame:
    """Whose sides a text means, from its own words, else from the option, else as usual."""
    text = " . ".join(
        " ".join(word.key for word in sentence if word.key != ",") for sentence in words.sentences
    )
    patient, viewer = frames.patient_words(text), frames.viewer_words(text)
    other = any(frames.contradicted(part) for part in text.split(" . "))
    if patient or (viewer and other):
        return Frame("patient", True, patient or viewer, mixed=bool(viewer))
    if viewer:
        return Frame("viewer", True, viewer)
    template = frames.template_words(text)
    if sides is None and template:
        return Frame("viewer", True, template)
    unsure = sides is None and frames.near_template(text)
    return Frame(sides or "patient", False, unsure=unsure)
