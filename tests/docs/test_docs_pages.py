"""Links lead somewhere, the navigation is complete, generated pages are up to date."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import house_picture
import make_reference
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def links(text: str) -> Iterator[str]:
    """Targets of Markdown links and pictures outside code that stay in the repository."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(text: str) -> set[str]:
    """Names of a page's headings, as Markdown renderers make them."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        alive = file.exists() and (not anchor or anchor in anchors(file.read_text()))
        # A page of the site cannot link to what is not on the site.
        if not alive or (DOCS in page.parents and DOCS not in file.parents):
            dead.append(target)
    assert not dead


def test_every_page_is_in_the_navigation() -> None:
    def flat(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for part in entry.values() if isinstance(entry, dict) else ():
            for item in part if isinstance(part, list) else [part]:
                yield from flat(item)

    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    named = [page for entry in nav for page in flat(entry)]
    assert sorted(named) == sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))


def test_the_reference_is_up_to_date() -> None:
    stale = [p.name for p, text in make_reference.pages().items() if p.read_text() != text]
    assert not stale, "run: python scripts/make_reference.py"


def test_the_citation_names_the_version_and_both_papers() -> None:
    from causalseg.version import __version__

    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {__version__}\n" in citation
    assert "10.1007/978-3-031-72384-1_8" in citation
    assert "2508.05008" in citation
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_links_in_code_are_no_links() -> None:
    text = "[a](x.md) `[b](y.md)` [c](https://z) ![d](p.png)\n```\n[e](q.md)\n```\n"
    assert list(links(text)) == ["x.md", "p.png"]


def test_the_picture_of_the_house_is_up_to_date_and_has_every_room() -> None:
    assert house_picture.PICTURE.read_text() == house_picture.picture()
    rooms = {room for row in house_picture.ROOMS for room, _ in row}
    there = {p.stem for p in (ROOT / "src/causalseg").iterdir() if p.suffix in ("", ".py")}
    assert rooms == there - {"__init__", "__main__", "__pycache__", "assets", "configs"}
