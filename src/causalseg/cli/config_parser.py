"""The parser of commands whose options are the fields of dataclasses."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

import causalseg
from causalseg.cli.dialect import OPTION, explained, respelled
from causalseg.errors import InputError

_PACKAGE = Path(causalseg.__file__).parent


class ConfigParser(ArgumentParser):
    """jsonargparse's parser, which names options as the fields of dataclasses, with dashes."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Any:
        """As the parent's, with dashes in the names of options, and configs of the package."""
        given = None if args is None else with_configs(respelled(args, "-", "_"))
        return super().parse_args(given, *more, **options)

    def read(self, argv: Sequence[str]) -> dict[str, Any]:
        """The fields of the dataclasses by their names, `model` as a plain dictionary."""
        parsed = self.parse_args(argv)
        parsed.pop("config", None)
        for name in ("data", "model", "optimizer", "trainer"):
            if parsed.get(name, {}) is None:  # `model: null` in YAML
                raise InputError(f"{name} has no value: give its options, or leave {name} out.")
        fields: dict[str, Any] = self.instantiate(parsed).as_dict()
        return fields | ({"model": asdict(fields["model"])} if "model" in fields else {})

    def format_help(self, formatter: Any = None) -> str:
        """As the parent's, with dashes in the names of options."""
        return OPTION.sub(lambda m: m[0].replace("_", "-"), super().format_help(formatter))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Exit with code 2 and the message, without pages of usage."""
        del ex
        known = [name.replace("_", "-") for name in self._option_string_actions]
        self.exit(2, explained(self.prog, message, known))


def find_config(name: str) -> str:
    """A config's path: the file of that name, or else the one that the package brings.

    The package's are named by their place in `causalseg/configs`, as `causalclipseg/qata.yaml`
    (or `configs/causalclipseg/qata.yaml`, as in a copy of the repository of earlier versions).
    """
    for place in (Path(name), _PACKAGE / "configs" / name, _PACKAGE / name):
        if "\0" not in name and place.is_file():
            return str(place)
    return name


def with_configs(words: Sequence[str]) -> list[str]:
    """Words of a command line with the package's configs by their paths."""
    found = list(words)
    for i, word in enumerate(found):
        if word.startswith("--config="):
            found[i] = "--config=" + find_config(word.partition("=")[2])
        elif word == "--config" and i + 1 < len(found):
            found[i + 1] = find_config(found[i + 1])
    return found
