"""What every text reader does, and how one is saved and found again."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from causalseg.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

READERS = {
    "none": "causalseg.text.readers.none:NoText",
    "clip": "causalseg.text.readers.clip:ClipTokens",
    "wordpiece": "causalseg.text.readers.wordpiece:WordPiece",
}
"""Name in a checkpoint -> class. A new reader is one class and one line here."""
LONGEST = 1024
"""Largest context length; no text tower here has as many positions."""


def check_context(length: object) -> None:
    """Refuse what is no number of tokens that leaves room for one between start and end.

    Raises:
        InputError: it is not.

    """
    if not isinstance(length, int) or isinstance(length, bool) or not 3 <= length <= LONGEST:
        raise InputError(
            f"context_length must be a whole number from 3 to {LONGEST}, not {length!r}."
        )


@dataclass(frozen=True)
class TextReader(ABC):
    """Turns sentences into one row of token ids each. Its fields are all that it needs.

    Subclasses are frozen dataclasses whose fields JSON can hold; what they read from disk is read
    when a sentence is first read, not when they are made.
    """

    name: ClassVar[str]
    """Key in `READERS`."""

    @abstractmethod
    def __call__(self, texts: Sequence[str]) -> "Tensor":
        """B sentences -> (B, L) int64, every row of the same length L. "" is a sentence too."""

    @property
    @abstractmethod
    def limit(self) -> int | None:
        """The most tokens of a sentence, its end marks included; None where none is cut."""

    @abstractmethod
    def lost(self, text: str) -> str:
        """The end of the sentence that does not fit and is cut off; "" where all of it is read."""

    @abstractmethod
    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each sentence, uncut."""

    def to_dict(self) -> dict[str, Any]:
        """Name and fields, as a checkpoint keeps them; `reader_from_dict` takes them back."""
        return {"name": self.name, **asdict(self)}


def reader_from_dict(saved: object) -> TextReader:
    """The reader of a checkpoint.

    Raises:
        InputError: this version has no reader of that name, or not with those fields.

    """
    fields = dict(saved) if isinstance(saved, dict) else {}
    name = fields.pop("name", None)
    if not isinstance(name, str) or name not in READERS:
        raise InputError(
            f"there is no text reader {name!r} in this version, which has {', '.join(READERS)}; "
            "use the version that wrote the checkpoint."
        )
    module, _, attribute = READERS[name].partition(":")
    found: type[TextReader] = getattr(import_module(module), attribute)
    try:
        return found(**fields)
    except TypeError as error:
        raise InputError(f"the text reader {name!r} does not take {fields}: {error}.") from None
