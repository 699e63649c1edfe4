"""The versions that `make` installs are ones that pyproject.toml admits, and none is missing."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"https?:", text), "an address would tie every clone to one host"
    entries = [e.split("--hash")[0].rstrip(" \\\n") for e in re.split(r"\n(?=[a-z])", text)[1:]]
    return [Requirement(entry) for entry in entries]


def wanted(extra: str | None) -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    found: list[Requirement] = []
    for line in PROJECT["dependencies"] if extra is None else extras[extra]:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            found += [inner for name in requirement.extras for inner in wanted(name)]
        else:
            found.append(requirement)
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("file", "extra"), [("base.txt", None), ("dev.txt", None), ("dev.txt", "dev")]
)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_every_requirement_is_locked_at_a_version_it_admits(
    file: str, extra: str | None, python: str
) -> None:
    environment = {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
        "platform_machine": "x86_64", "platform_python_implementation": "CPython",
    }  # fmt: skip
    pins = {
        canonical(r.name): r.specifier
        for r in locked(file)
        if r.marker is None or r.marker.evaluate(environment)
    }
    for requirement in wanted(extra):
        (pin,) = pins[canonical(requirement.name)]
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version, prereleases=True), requirement


def test_every_locked_package_has_a_hash() -> None:
    for file in ("base.txt", "dev.txt", "cuda.txt", "cpu.txt"):
        text = (ROOT / "requirements" / file).read_text()
        for entry in re.split(r"\n(?=[a-z])", text)[1:]:
            assert "--hash=sha256:" in entry, entry


def test_the_page_of_licences_names_what_is_locked() -> None:
    page = (ROOT / "docs" / "reference" / "licences.md").read_text()
    named = set(re.findall(r"^\| ([\w.-]+ [\w.+-]+) \|", page, flags=re.MULTILINE))
    assert named == {f"{r.name} {r.specifier}".replace("==", "") for r in locked("base.txt")}
    assert not re.search(r"\| [^|]*\bA?GPL[^|]*\|$", page, flags=re.MULTILINE)
