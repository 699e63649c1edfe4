"""The images of a folder and of folders linked into it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from causalseg.errors import InputError
from causalseg.inference.formats import kind_of, short_path
from causalseg.inputs import regular_file


@dataclass
class FolderContent:
    """What a folder holds, including folders linked into it."""

    usable: list[Path] = field(default_factory=list)
    ignored: int = 0
    """Files that are not images."""
    refused: list[str] = field(default_factory=list)
    """What cannot be read at all, a sentence each."""


def search_folder(folder: Path) -> FolderContent:
    """Search a folder and those linked into it, each once, in order of name."""
    found = FolderContent()
    seen = {os.path.realpath(folder)}

    def unreadable(error: OSError) -> None:
        name = short_path(error.filename)
        found.refused.append(f"the folder {name} cannot be read: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        inside = []
        for name in sorted(folders):
            place = os.path.realpath(os.path.join(parent, name))
            if not name.startswith(".") and place not in seen:
                seen.add(place)
                inside.append(name)
        folders[:] = inside
        for name in sorted(files):
            path = Path(parent) / name
            if name.startswith(".") or name.upper() == "DICOMDIR":
                continue
            try:
                usable = kind_of(regular_file(path)) is not None
            except InputError as error:
                found.refused.append(str(error).rstrip("."))
                continue
            found.usable += [path] if usable else []
            found.ignored += not usable
    return found
