"""The parser of commands whose options are the fields of dataclasses."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from causalseg.cli.config_command import with_configs
from causalseg.cli.dialect import OPTION, explained, respelled
from causalseg.errors import InputError


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
