"""Statements that lungs are clear, or that the study is normal."""

from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.story import Mention, Story
from causalseg.text.reading.terms import Kind, Term

NOT_AIR = ("costophrenic", "cp angle", "cardiophrenic")
_FORMERLY = frozenset("previously formerly initially earlier previous".split())


def clear_mention(term: Term, places: list[list[Term]], sentence: int, number: int) -> Mention:
    """A statement by a term that places are clear."""
    return Mention(Kind.CLEAR, term, "absent", sentence, number, list(places), why=[term])


def said_clear(parts: list[Clause], number: int, sentence: int, story: Story) -> list[Mention]:
    """The clause's statement that lungs are clear or the study normal, if it makes one."""
    clause = parts[number]
    if _of_a_heading(parts, number):
        return []
    lung = clause.has(Kind.LUNG) or any(one.place for one in clause.terms)
    unclear = [
        one for one in clause.terms if one.key.endswith(("not clear", "ly clear", "almost clear"))
    ]
    if unclear and lung and not clause.has(Kind.FINDING, Kind.OTHER):
        story.note("a place said not to be clear was read as an opacity there.")
        return [Mention(Kind.ABNORMAL, unclear[0], "present", sentence, number)]
    for position, term in enumerate(clause.terms):
        if term.kind not in (Kind.CLEAR, Kind.NORMAL):
            continue
        following = [one for one in clause.terms[position + 1 :] if one.kind is not Kind.PLAIN]
        if following and following[0].kind in (Kind.FINDING, Kind.OTHER, Kind.CAUSE):
            continue  # "a clear consolidation"
        if clause.has(Kind.DOUBTED, Kind.DOUBT):
            continue
        if any(one.key in _FORMERLY for one in clause.terms[:position]):
            continue  # "previously clear"
        angles = any(one.key.startswith(NOT_AIR) for one in clause.terms)
        if (clause.has(Kind.NOT_LUNG) or angles) and not clause.has(Kind.LUNG):
            continue
        if term.kind is Kind.NORMAL and not (lung or clause.has(Kind.STUDY)):
            content = [one for one in clause.terms if one.kind not in (Kind.PLAIN, Kind.NORMAL)]
            if content or len(clause.terms) > 3:
                continue
        if clause.has(Kind.OTHER, Kind.ELSEWHERE):
            continue
        if not lung and any(one.kind is Kind.UNKNOWN for one in clause.terms):
            continue  # of something that is not understood
        if any(one.key == "neither" for one in clause.terms[:position]):
            story.note("a place said not to be clear was read as an opacity there.")
            both = [Term(Kind.ALL, "neither", key="neither")]
            return [Mention(Kind.ABNORMAL, term, "present", sentence, number, [both])]
        if any(one.key == "would" for one in clause.terms[:position]):
            story.note(f"{term.text!r} was read as a fact, though the text says 'would'.")
        mention = Mention(Kind.CLEAR, term, "absent", sentence, number, why=[term])
        mention.rest = clause.has(Kind.REST)
        return [mention]
    return []


def _of_a_heading(parts: list[Clause], number: int) -> bool:
    """Whether a clause speaks of another part: "Heart: normal"."""
    heading = parts[number - 1]
    return (
        number > 0
        and parts[number].opening == "colon"
        and heading.has(Kind.NOT_LUNG, Kind.ELSEWHERE)
        and not heading.has(Kind.LUNG)
    )
