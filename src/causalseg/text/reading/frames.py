"""Whose left is meant: the patient's, or that of whoever looks at the image."""

import re

_SIDE = r"(?:left|right|lt|rt|l|r|both)(?: hand)?(?: sides?| part| half| edge)?"
_SHOWN = r"(?:image|picture|screen|display|monitor|photo|photograph|frame)"
_VIEWER = re.compile(
    rf"\b{_SIDE}(?: of| on| in)(?: the| this| my| your)? {_SHOWN}\b"
    rf"|\b{_SIDE} of(?: the| this)? (?:film|radiograph|xray|scan|plate|view)\b"
    rf"|\b{_SHOWN} {_SIDE}\b|\b(?:viewers?|observers?|readers?|onlookers?)\b(?: (?:left|right)\b)?"
    r"|\bas (?:displayed|viewed|shown|it appears|it is displayed|projected on|seen on) ?"
    rf"|\b(?:left|right) (?:upper|lower|mid|middle) (?:zone|half|third|part|corner|quadrant|area)"
    rf" of(?: the| this) {_SHOWN}\b"
    r"|\b(?:as|when) (?:you|we|one|i) (?:look|see|view)s?\b|\byour (?:left|right)\b"
    rf"|\b(?:on|in)(?: the| this)? {_SHOWN}(?: the)? {_SIDE}\b"
    r"|\bimage sided?\b|\bonscreen\b|\bon screen\b"
)
_PATIENT = re.compile(
    r"\bpatients?(?: own)? (?:left|right)\b|\banatomic(?:al|ally)? (?:left|right)\b"
    r"|\b(?:left|right)(?: side| lung)? of the patient\b|\bpatient side\b"
    r"|\b(?:his|her|their)(?: own)? (?:left|right)\b"
)
# The fixed wording of QaTa-COV19's captions, whose sides are the viewer's.
_NEAR_TEMPLATE = re.compile(r"\binfected areas?\b.*\b(?:left|right)\b")
_TEMPLATE = re.compile(r"\b(?:one|two|three|four|five|six|\d) infected areas?\b")


def viewer_words(text: str) -> str:
    """The words of a lower-case text that make its sides the viewer's, or ""."""
    match = _VIEWER.search(text)
    return match.group().strip() if match else ""


def viewer_terms(keys: list[str]) -> set[int]:
    """Which of a clause's terms, by number, are the words that make sides the viewer's."""
    matches = list(_VIEWER.finditer(" ".join(keys)))
    starts = [len(" ".join(keys[:number])) + bool(number) for number in range(len(keys))]
    return {
        number
        for number, (start, key) in enumerate(zip(starts, keys, strict=True))
        if any(start < match.end() and start + len(key) > match.start() for match in matches)
    }


def contradicted(sentence: str) -> bool:
    """Whether a sentence names the other lung beside the viewer's side: it says both."""
    matches = [one for one in _VIEWER.finditer(sentence) if re.search("left|right", one.group())]
    match = matches[0] if matches else None
    if match is None or re.search(r"\b(?:clear|no|not|normal)\b", sentence):
        return False
    shown = set(re.findall(r"\b(?:left|right)\b", match.group()))
    rest = sentence[: match.start()] + " . " + sentence[match.end() :]
    lungs = set(re.findall(r"\b(left|right) (?:lung|lower|upper|mid|middle|base|apex)", rest))
    return len(shown) == 1 and len(lungs) == 1 and shown != lungs


def patient_words(text: str) -> str:
    """The words that make its sides the patient's, or ""."""
    match = _PATIENT.search(text)
    return match.group() if match else ""


def template_words(text: str) -> str:
    """The words by which a text is told to be in the wording of QaTa-COV19, or ""."""
    match = _TEMPLATE.search(text)
    return match.group() if match else ""


def near_template(text: str) -> bool:
    """Whether it names sides and infected areas, as the captions of QaTa-COV19 do."""
    return _NEAR_TEMPLATE.search(text) is not None
