"""`causalseg confound`: train against a planted confounder, and see what repairs it."""

from causalseg.cli.config_command import ConfigCommand
from causalseg.cli.config_source import names
from causalseg.terminal import say, show_markdown

COMMAND = ConfigCommand(
    "confound",
    "Plant a confounder of known place and strength into a data set, train every row with every "
    "seed, and score each with the plant in agreement, removed and in conflict. If it is stopped, "
    "the same command continues it. Writes table.md, table.json and report.html. "
    f"Rows: {', '.join(names('causalseg.experiments.confound_config:ROWS'))}.",
    "causalseg.experiments.confound_config:ConfoundConfig",
    skip=("seed", "ckpt_path"),
)


def main(argv: list[str]) -> int:
    """Run the grid, print the tables, and write the report."""
    config = COMMAND.read(argv)

    from causalseg.experiments.confound import run_confound
    from causalseg.experiments.confound_report import confound_markdown

    table = run_confound(config, say=say)
    show_markdown(confound_markdown(table))
    say(f"Report: {config.out}/report.html")
    return 0
