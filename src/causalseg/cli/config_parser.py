"""The parser of commands whose options are the fields of dataclasses."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser

from causalseg.cli.dialect import OPTION, respelled


class ConfigParser(ArgumentParser):
    """jsonargparse's parser, which names options as the fields of dataclasses, with dashes."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Any:
        """As the parent's, with dashes in the names of options."""
        given = None if args is None else respelled(args, "-", "_")
        return super().parse_args(given, *more, **options)

    def format_help(self, formatter: Any = None) -> str:
        """As the parent's, with dashes in the names of options."""
        return OPTION.sub(lambda m: m[0].replace("_", "-"), super().format_help(formatter))
