"""The files of a folder, found by the names that a table gives them."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


class Files:
    """The entries of a folder, found by name or stem.

    Names are compared in one form of Unicode (macOS writes "e" and its accent apart), and case is
    ignored where that leaves one file, as on the systems where such tables are written. Hidden
    entries and Windows' thumbnail cache are ignored.
    """

    def __init__(self, folder: Path) -> None:
        entries = sorted(folder.iterdir())
        self._paths = [p for p in entries if not p.name.startswith(".") and p.name != "Thumbs.db"]
        self._exact: dict[tuple[str, str], list[Path]] = defaultdict(list)
        self._folded: dict[tuple[str, str], list[Path]] = defaultdict(list)
        for path in self._paths:
            for part, text in (("name", path.name), ("stem", path.stem)):
                self._exact[part, _form(text)].append(path)
                self._folded[part, _form(text).casefold()].append(path)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._paths)

    def named(self, name: str) -> Path | None:
        """The file of that name."""
        found = self._find("name", name)
        return found[0] if len(found) == 1 else None

    def stemmed(self, stem: str) -> list[Path]:
        """The files of that name without its ending."""
        return self._find("stem", stem)

    def _find(self, part: str, text: str) -> list[Path]:
        form = _form(text)
        return self._exact.get((part, form)) or self._folded.get((part, form.casefold()), [])


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name)
