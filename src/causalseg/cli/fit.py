"""`causalseg fit`: train a model from a YAML config and options."""

from typing import Any

from causalseg.terminal import say


def main(argv: list[str]) -> int:
    """Run the command; see `causalseg fit --help`."""
    from causalseg.training.config import RunConfig

    options = parse_fit(argv, "causalseg fit")

    from causalseg.training.fit import fit

    best = fit(RunConfig(**options))
    say(f"best checkpoint: {best}")
    return 0


def parse_fit(argv: list[str], prog: str) -> dict[str, Any]:
    """Read a run's options from the command line and from the YAML that it names.

    Returns:
        The fields of `RunConfig`, with `model` as a plain dictionary.

    """
    from causalseg.training.config import RunConfig

    description = (
        "Train a model. Options come from the YAML file given by --config and from the command "
        "line, which takes precedence. Continue a run with --ckpt-path last."
    )
    return parse_run(argv, prog, description, RunConfig)


def parse_run(
    argv: list[str], prog: str, description: str, config: type[Any], skip: tuple[str, ...] = ()
) -> dict[str, Any]:
    """As `parse_fit`, for any config that extends `RunConfig`, without the options in `skip`."""
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    from causalseg.cli.config_parser import ConfigParser
    from causalseg.models.registry import model_class

    parser = ConfigParser(prog=prog, description=description)
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file with the options")
    parser.add_class_arguments(config, None, skip={"model", *skip})
    parser.add_class_arguments(model_class(_architecture(argv)).config_class, "model")
    return parser.read(argv)


def _architecture(argv: list[str]) -> str:
    """The model's name, which decides what options `model` has: last of command line and YAML."""
    from causalseg.cli.config_parser import with_configs
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
