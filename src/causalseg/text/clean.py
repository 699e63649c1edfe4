"""A sentence as it is seen: no invisible characters, one kind of space, one form of each letter.

Characters that nobody sees change the tokens, and with them the mask. Every sentence, whether a
training caption, a prompt or a request, is cleaned here before anything else is done with it.
"""

import re
import unicodedata

from causalseg.errors import InputError

MAX_LENGTH = 10_000
# What spreadsheets and programs write where there is no text.
_PLACEHOLDER = re.compile(
    r"\W*(n\W?a|nan|nat|none|none given|null|nil|undefined|unknown|missing|empty|blank|void|tbd|"
    r"todo|true|false|no (caption|text|description|label)|not (available|applicable|given)|"
    r"#(ref|name|value|div/0|num))\W*",
    re.IGNORECASE,
)
# An image given in place of the text.
_FILE = re.compile(r"\S+\.(png|jpe?g|tiff?|bmp|dcm|nii(\.gz)?)", re.IGNORECASE)
# Reverses the letters that follow, so that the text seen is not the text read.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Drawn as nothing or as a blank, though Unicode does not class them as format characters.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0]")


def clean_text(text: object, limit: int = MAX_LENGTH) -> str:
    """The text without invisible characters, in NFC, each run of white space one blank.

    Args:
        text: as it came.
        limit: the most characters.

    Raises:
        InputError: no text, empty, a placeholder such as "N/A" or "nan", the name of a file, too
            long, or with characters that stand for nothing readable (control characters, unpaired
            surrogates, unassigned or private ones, the replacement character) or that change
            the text's order.

    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("the text is empty: say what to segment, such as 'lower left lung'.")
    if len(text) > limit:
        raise InputError(f"the text has {len(text)} characters; the limit is {limit}.")
    if not text.isascii():
        text = _visible(text)
    cleaned = " ".join(text.split())
    if not cleaned.isprintable():
        raise InputError("the text has control characters: remove them.")
    if _PLACEHOLDER.fullmatch(cleaned):
        raise InputError(f"the text is {cleaned!r}, a placeholder for no text: write a sentence.")
    if _FILE.fullmatch(cleaned):
        raise InputError(
            f"the text {cleaned!r} is the name of a file: give the image first, and as text a "
            "sentence such as 'lower left lung'."
        )
    if not any(map(str.isalpha, cleaned)):
        raise InputError(f"the text {cleaned!r} has no words: say what to segment.")
    return cleaned


def _visible(text: str) -> str:
    if _TURNS.search(text):
        raise InputError("the text has characters that change its reading order: remove them.")
    if "\ufffd" in text:
        raise InputError("the text has U+FFFD, left where letters were lost: write them again.")
    kept = []
    for character in _UNSEEN.sub("", text):
        kind = unicodedata.category(character)
        if kind in ("Cs", "Co", "Cn"):
            raise InputError(
                f"the text has U+{ord(character):04X}, which is not a letter (unpaired, private or "
                "unassigned): remove it."
            )
        if kind != "Cf":
            kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))
