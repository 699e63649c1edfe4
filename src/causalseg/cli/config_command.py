"""Commands whose options are the fields of dataclasses, from YAML and the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import causalseg
from causalseg.cli import config_source
from causalseg.cli.config_help import help_page
from causalseg.terminal import say

if TYPE_CHECKING:
    from causalseg.cli.config_parser import ConfigParser

_PACKAGE = Path(causalseg.__file__).parent
OF_ARCHITECTURE = "of --architecture"
"""`model` takes the options of the model that `--architecture` names."""


@dataclass(frozen=True)
class ConfigCommand:
    """A command and its options.

    `--help` reads the options from the dataclasses' source. What is given is read by jsonargparse
    with the dataclasses themselves, which imports PyTorch and takes seconds.
    """

    name: str
    description: str
    config: str
    """`package.module:CLASS` of the dataclass."""
    model: str | None = OF_ARCHITECTURE
    """Config whose fields `model` takes; None where the command has no `model`."""
    skip: tuple[str, ...] = ()
    """Fields that are no options."""

    def read(self, argv: Sequence[str]) -> Any:
        """The config as the command line and its YAML fill it; its `model` as a plain dictionary.

        Raises:
            InputError: an option has no value, or the YAML cannot be read.
            SystemExit: help was asked for, or an option cannot be used (code 2).

        """
        if {"-h", "--help"} & {*argv}:
            say(self.help(argv))
            raise SystemExit(0)
        return _class(self.config)(**self.parser(argv).read(argv))

    def help(self, argv: Sequence[str] = ()) -> str:
        """The text of `--help`, with the options of the model that is named beside it."""
        model = None
        if self.model == OF_ARCHITECTURE:
            # A name that is not known is for the parser to refuse.
            model = config_source.config_of(architecture(argv)) or config_source.at(
                "causalseg.models.base:ModelConfig"
            )
        elif self.model is not None:
            model = config_source.at(self.model)
        skip = ("model", *self.skip)
        config = config_source.at(self.config)
        return help_page(f"causalseg {self.name}", self.description, config, model, skip)

    def parser(self, argv: Sequence[str] = ()) -> "ConfigParser":
        """What reads the options."""
        from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

        from causalseg.cli.config_parser import ConfigParser

        parser = ConfigParser(prog=f"causalseg {self.name}", description=self.description)
        parser.add_argument("--config", action=ActionConfigFile, help="a YAML file")
        skip = {*self.skip} if self.model is None else {"model", *self.skip}
        parser.add_class_arguments(_class(self.config), None, skip=skip)
        if self.model == OF_ARCHITECTURE:
            from causalseg.models.registry import model_class

            parser.add_class_arguments(model_class(architecture(argv)).config_class, "model")
        elif self.model is not None:
            parser.add_class_arguments(_class(self.model), "model")
        return parser


def _class(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found


def architecture(argv: Sequence[str]) -> str:
    """The model's name, which decides what options `model` has: last of command line and YAML."""
    from causalseg.inputs import read_yaml

    argv = with_configs(argv)
    name = "causalclipseg"
    for i, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if option not in ("--config", "--architecture"):
            continue
        value = value if equals else (argv[i + 1] if i + 1 < len(argv) else "")
        if option == "--architecture":
            return value
        name = str(read_yaml(value).get("architecture", name))
    return name


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
