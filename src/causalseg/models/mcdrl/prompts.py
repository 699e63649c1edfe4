"""Class and domain prompts: sentences made from a YAML table that a user can write."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from causalseg.errors import InputError
from causalseg.inputs import read_yaml

TEMPLATES = ("class_template", "domain_template", "class_domain_template")


@dataclass(frozen=True)
class Prompts:
    """Classes and domains (the observed confounders) of a modality."""

    class_template: str
    """Sentence with `{class}`."""
    domain_template: str
    """Sentence with `{domain}`."""
    class_domain_template: str
    """Sentence with both."""
    classes: tuple[str, ...]
    """K names of lesions, including the data's own."""
    domains: Mapping[str, tuple[str, ...]]
    """Group -> names; M names in all."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON; `parse_prompts` reads it."""
        return {**asdict(self), "classes": list(self.classes)} | {
            "domains": {group: list(names) for group, names in self.domains.items()}
        }

    @property
    def domain_names(self) -> list[str]:
        """The M domains, groups in their order."""
        return [name for names in self.domains.values() for name in names]

    def class_sentences(self) -> list[str]:
        """K sentences."""
        return [self.class_template.replace("{class}", name) for name in self.classes]

    def domain_sentences(self) -> list[str]:
        """M sentences that name no class."""
        return [self.domain_template.replace("{domain}", name) for name in self.domain_names]

    def class_domain_sentences(self) -> list[list[str]]:
        """K lists of M sentences."""
        return [
            [
                self.class_domain_template.replace("{class}", kind).replace("{domain}", name)
                for name in self.domain_names
            ]
            for kind in self.classes
        ]


def read_prompts(source: str | Mapping[str, Any]) -> Prompts:
    """Prompts from a shipped name (`endoscopy`, `chest_xray`), a YAML file, or a table.

    Raises:
        InputError: there is no such file, or it lacks a field or has one of the wrong kind.

    """
    if isinstance(source, Mapping):
        return parse_prompts(source, "the prompts")
    folder = files("causalseg") / "assets" / "prompts"
    shipped = sorted(Path(str(entry)).stem for entry in folder.iterdir() if _is_yaml(str(entry)))
    path = Path(str(folder / f"{source}.yaml")) if source in shipped else Path(source)
    if not path.exists():
        raise InputError(
            f"there are no prompts {source!r}; give a YAML file or one of {', '.join(shipped)}."
        )
    return parse_prompts(read_yaml(path), str(path))


def _is_yaml(name: str) -> bool:
    return name.endswith(".yaml")


def parse_prompts(table: Mapping[str, Any], where: str) -> Prompts:
    """Check a table and make `Prompts` of it; `where` is what messages call it."""
    known = {*TEMPLATES, "classes", "domains"}
    wrong = sorted(known ^ set(map(str, table)))
    if wrong:
        what = "lacks" if wrong[0] in known else "has an unknown"
        raise InputError(f"{where} {what} field {wrong[0]!r}; it needs {', '.join(sorted(known))}.")
    for name in TEMPLATES:
        slots = [slot for slot in ("class", "domain") if slot in name]
        text = table[name]
        if not isinstance(text, str) or any(f"{{{slot}}}" not in text for slot in slots):
            raise InputError(f"{name} of {where} must contain {{{'}} and {{'.join(slots)}}}.")
    classes, domains = table["classes"], table["domains"]
    if not _is_names(classes):
        raise InputError(f"classes of {where} must be a list of different names, at least one.")
    if not isinstance(domains, Mapping) or not all(_is_names(names) for names in domains.values()):
        raise InputError(f"domains of {where} must map each group to a list of different names.")
    names = [name for group in domains.values() for name in group]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"domains of {where} must be two or more, each named once.")
    return Prompts(
        class_template=table["class_template"],
        domain_template=table["domain_template"],
        class_domain_template=table["class_domain_template"],
        classes=tuple(classes),
        domains={str(group): tuple(names) for group, names in domains.items()},
    )


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(name, str) and name.strip() for name in value)
        and len(set(value)) == len(value)
    )
