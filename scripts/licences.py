"""Write docs/reference/licences.md: the licence of all that a plain install brings.

The packages are those of requirements/base.txt, their licences what the installed packages say of
themselves. Run by `make sbom`. Ends with an error where a licence is unknown or a GPL.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "licences.md"
INTRODUCTION = """\
# Licences of what an install brings

`pip install causalseg` brings these packages, here in the versions that `make` installs. causalseg
itself is MIT; where its model's weights and data come from is in [the model card](model-card.md).
None of the packages is under a GPL: `make sbom` checks this, writes this page, and writes a bill of
materials (CycloneDX) to `dist/causalseg.cdx.json`.
"""
NOTES = """
On Linux the registry's build of PyTorch brings libraries of NVIDIA and Triton too, most of them
under NVIDIA's own licences; a CPU build does without them: {names}.
"""


def locked(file: str) -> list[Requirement]:
    """The requirements of one file of requirements/, without their hashes."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    entries = (entry.split("--hash")[0] for entry in re.split(r"\n(?=[a-z])", text)[1:])
    return [Requirement(entry.rstrip(" \\\n")) for entry in entries]


def licence(name: str) -> str:
    """What an installed package says of its licence, in one line."""
    about = metadata(name)
    kinds = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if "License" in c]
    words = (about.get("License") or "").split("\n")[0].strip()
    # Otherwise the field holds the licence's own text.
    short = words[:1].isalnum() and len(words) < 40 and "Copyright" not in words
    return about.get("License-Expression") or (words if short else "; ".join(kinds))


def main() -> None:
    """Write the page, or end with what is wrong."""
    rows: dict[str, str] = {}
    wrong = []
    for requirement in locked("base.txt"):
        try:
            found = licence(requirement.name)
        except PackageNotFoundError:
            found = f"not installed here: {requirement.marker}"
        if not found or (re.search(r"\bA?GPL|General Public", found) and "Lesser" not in found):
            wrong.append(f"{requirement.name}: {found or 'no licence is given'}")
        rows[f"{requirement.name} {requirement.specifier}".replace("==", "")] = found
    if wrong:
        sys.exit("licences that must be looked at: " + "; ".join(wrong))
    table = ["| package | licence |", "|---|---|", *(f"| {n} | {x} |" for n, x in rows.items())]
    cuda = ", ".join(sorted(requirement.name for requirement in locked("cuda.txt")))
    text = INTRODUCTION + "\n" + "\n".join(table) + "\n" + NOTES.format(names=cuda)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
