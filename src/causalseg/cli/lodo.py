"""`causalseg lodo`: leave-one-domain-out training and scoring."""

from typing import Any

from causalseg.terminal import say, show_markdown


def main(argv: list[str]) -> int:
    """Run a grid, or `causalseg lodo mechanism ...`; see `--help` of each."""
    if argv[:1] == ["mechanism"]:
        from causalseg.cli.lodo_mechanism import main as mechanism

        return mechanism(argv[1:])
    options = _parse(argv)

    from causalseg.experiments.lodo import run_lodo
    from causalseg.experiments.lodo_config import LodoConfig
    from causalseg.experiments.lodo_table import lodo_markdown

    config = LodoConfig(**options)
    table = run_lodo(config, say=say)
    show_markdown(lodo_markdown(table))
    say(f"tables: {config.out}/table.md, {config.out}/results.json")
    return 0


def _parse(argv: list[str]) -> dict[str, Any]:
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    from causalseg.cli.config_parser import ConfigParser
    from causalseg.experiments.lodo_config import LodoConfig
    from causalseg.experiments.mcdrl_rows import MCDRL_ROWS
    from causalseg.models.mcdrl.config import MCDRLConfig

    parser = ConfigParser(
        prog="causalseg lodo",
        description="Train on all domains but one, select on a hold-out of those, and score on the "
        "domain left out, for each domain, configuration and seed. If it is stopped, the same "
        "command continues it. 'causalseg lodo mechanism --help': what the intervention does to "
        f"corrupted images. Rows: {', '.join(MCDRL_ROWS)}.",
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file with the options")
    parser.add_class_arguments(LodoConfig, None, skip={"model"})
    parser.add_class_arguments(MCDRLConfig, "model")
    return parser.read(argv)
