"""What the caption grammars share: number words, a cursor over a caption's words, the error."""

import re
from collections.abc import Iterable

from causalseg.errors import InputError

SIDES = ("left", "right")
UNLOCATED = "pulmonary infection."
"""The caption that names no place: it asks for all of the infection."""
OTHER_SIDE = {"left": "right", "right": "left"}
NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen", "twenty"),
)


class CaptionError(InputError):
    """A caption that no grammar can read.

    Attributes:
        words: the words that could not be read, as written; () when the text ended too early.

    """

    def __init__(self, text: str, words: tuple[str, ...], expected: str) -> None:
        self.text = text
        self.words = words
        what = f"these words were not understood: {' '.join(words)}" if words else "it ends early"
        what = what if text.strip() else "it is empty"
        super().__init__(f"the caption {text!r} does not parse: {what} (expected {expected}).")


class StopError(Exception):
    """A grammar met a word that it cannot use."""

    def __init__(self, position: int, expected: str) -> None:
        super().__init__(position, expected)
        self.position = position
        self.expected = expected


class Cursor:
    """Reads a caption word by word; commas and full stops are words, case does not count."""

    def __init__(self, text: str) -> None:
        self.words: list[str] = re.findall(r"[^\s,.]+|[,.]", text)
        self.position = 0

    def take(self, *choices: str) -> str | None:
        """The next word, lower case, when it is one of the choices; else None, and stay."""
        if self.position == len(self.words):
            return None
        word = self.words[self.position].lower()
        if word not in choices:
            return None
        self.position += 1
        return word

    def need(self, *choices: str) -> str:
        """The next word, which must be one of the choices."""
        word = self.take(*choices)
        if word is None:
            raise StopError(self.position, " or ".join(repr(choice) for choice in choices[:12]))
        return word

    def phrase(self, words: str) -> None:
        """Skip words that must follow exactly as given."""
        for word in words.split():
            self.need(word)

    def any_word(self) -> str:
        """The next word, whatever it is, as written."""
        if self.position == len(self.words):
            raise StopError(self.position, "a word")
        self.position += 1
        return self.words[self.position - 1]

    def end(self) -> None:
        """An optional full stop, then nothing."""
        self.take(".")
        if self.position < len(self.words):
            raise StopError(self.position, "the end")


def number(word: str) -> int:
    """The value of a number word."""
    return NUMBERS.index(word)


def number_word(value: int) -> str:
    """The word for 0..20.

    Raises:
        InputError: for any other value.

    """
    if not 0 <= value < len(NUMBERS):
        raise InputError(f"a caption can count from 0 to {len(NUMBERS) - 1}, not {value}.")
    return NUMBERS[value]


def in_words(zones: Iterable[tuple[str, str]]) -> str:
    """Zones in the picture's sides, in words: by the picture and by the patient."""
    named = list(zones)
    parts = []
    for side in SIDES:
        heights = [height for one, height in named if one == side]
        if heights:
            zone = "zone" if len(heights) == 1 else "zones"
            place = "all" if len(heights) == 3 else f"the {' and '.join(heights)} {zone}"
            parts.append(
                f"{place} of the lung on the {side} of the picture, the patient's "
                f"{OTHER_SIDE[side]}"
            )
    return "; ".join(parts)
