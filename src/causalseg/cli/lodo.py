"""`causalseg lodo`: leave-one-domain-out training and scoring."""

from causalseg.cli.config_command import ConfigCommand
from causalseg.cli.config_source import names
from causalseg.terminal import say, show_markdown

COMMAND = ConfigCommand(
    "lodo",
    "Train on all domains but one, select on a hold-out of those, and score on the domain left "
    "out, for each domain, configuration and seed. If it is stopped, the same command continues "
    "it. 'causalseg lodo mechanism --help': what the intervention does to corrupted images. "
    f"Rows: {', '.join(names('causalseg.experiments.mcdrl_rows:MCDRL_ROWS'))}.",
    "causalseg.experiments.lodo_config:LodoConfig",
    model="causalseg.models.mcdrl.config:MCDRLConfig",
)


def main(argv: list[str]) -> int:
    """Run a grid, or `causalseg lodo mechanism ...`; see `--help` of each."""
    if argv[:1] == ["mechanism"]:
        from causalseg.cli.lodo_mechanism import main as mechanism

        return mechanism(argv[1:])
    config = COMMAND.read(argv)

    from causalseg.experiments.lodo import run_lodo
    from causalseg.experiments.lodo_table import lodo_markdown

    table = run_lodo(config, say=say)
    show_markdown(lodo_markdown(table))
    say(f"tables: {config.out}/table.md, {config.out}/results.json")
    return 0
