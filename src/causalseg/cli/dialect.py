"""One dialect for all commands: options are spelled with dashes, and a checkpoint is `--model`.

YAML keys and Python names have underscores, as these languages do. Options with underscores still
work, and so does a checkpoint without `--model`, as in earlier versions.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from causalseg.errors import InputError
from causalseg.inputs import printable

OPTION = re.compile(r"--[A-Za-z][\w.-]*")


def with_dashes(words: Sequence[str]) -> list[str]:
    """Words of a command line with `--batch_size` as `--batch-size`; values are left alone."""
    return respelled(words, "_", "-")


def respelled(words: Sequence[str], old: str, new: str) -> list[str]:
    """Words of a command line with one character of the options' names replaced."""

    def option(match: re.Match[str]) -> str:
        return "--" + match[0][2:].replace(old, new)

    return [OPTION.sub(option, word, count=1) if OPTION.match(word) else word for word in words]


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are a sentence and name what a mistyped option may mean.

    An option is never completed from its first letters: `--prompt` would be taken for `--prompts`.

    Args:
        older: spellings of earlier versions that still work, and what they are called now. Help
            does not show them.
        options: those of the parent class.

    """

    def __init__(self, *, older: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        self.older = older or {}

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As the parent's, older spellings included."""
        given = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._renamed(word) for word in given], namespace)

    def _renamed(self, word: str) -> str:
        name, equals, value = word.partition("=")
        return self.older.get(name, name) + equals + value

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and the message, without the usage."""
        self.exit(2, explained(self.prog, message, self._option_string_actions))


def explained(prog: str, message: str, known: Iterable[str]) -> str:
    """A parser's message as the user sees it: one line, with the options that may be meant."""
    hints = []
    _, unknown, words = message.partition("unrecognized arguments: ")
    for word in words.split() if unknown else ():
        given = "--" + word.lstrip("-").partition("=")[0].replace("_", "-")
        close = meant(given, known) if word.startswith("-") else None
        hints += [f"did you mean {close}?"] if close and close != word else []
    lines = (" ".join(line.split()).rstrip(".:") for line in message.splitlines() if line)
    reason = printable("; ".join(lines))
    return " ".join([f"{prog}: error: {reason}.", *hints, f"'{prog} --help' lists the options.\n"])


def meant(given: str, known: Iterable[str]) -> str | None:
    """The known word that a mistyped or shortened one most likely stands for."""
    names = [name for name in known if name not in ("-h", "--help")]
    ends = [name for name in names if name.endswith("." + given.lstrip("-"))]
    return next(iter(ends or difflib.get_close_matches(given, names, 1)), None)


def add_model(parser: argparse.ArgumentParser, words: str = "a .safetensors file") -> None:
    """Add `--model CHECKPOINT`; by default the packaged model."""
    parser.add_argument(
        "--model", metavar="CHECKPOINT", help=f"{words} (default: the packaged model)"
    )
    parser.add_argument("checkpoint", nargs="?", help=argparse.SUPPRESS)


def model_of(args: argparse.Namespace) -> str:
    """The checkpoint that was given, as text.

    Raises:
        InputError: two were given.

    """
    if args.model is not None and args.checkpoint is not None:
        raise InputError(f"give one checkpoint: --model {args.model} or {args.checkpoint}.")
    return str(args.model or args.checkpoint or "default")
