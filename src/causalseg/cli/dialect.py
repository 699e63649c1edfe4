"""One dialect for all commands: options are spelled with dashes, and a checkpoint is `--model`.

YAML keys and Python names have underscores, as these languages do. Options spelled with them are
taken too, and so is a checkpoint given by its place alone, as versions before did.
"""

import argparse
import re
from collections.abc import Sequence

from causalseg.errors import InputError

OPTION = re.compile(r"--[A-Za-z][\w.-]*")


def with_dashes(words: Sequence[str]) -> list[str]:
    """Words of a command line with `--batch_size` as `--batch-size`; values are left alone."""
    return respelled(words, "_", "-")


def respelled(words: Sequence[str], old: str, new: str) -> list[str]:
    """Words of a command line with one character of the options' names replaced."""

    def option(match: re.Match[str]) -> str:
        return "--" + match[0][2:].replace(old, new)

    return [OPTION.sub(option, word, count=1) if OPTION.match(word) else word for word in words]


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
