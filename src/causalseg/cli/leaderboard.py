"""`causalseg leaderboard`: all systems on one budget, in one table."""

from causalseg.cli.config_command import ConfigCommand
from causalseg.cli.config_source import names
from causalseg.terminal import say, show_table

COMMAND = ConfigCommand(
    "leaderboard",
    "Train all systems on the same data for the same number of steps, score them, ask them about "
    "edited captions, and put them into one table with intervals and paired tests. If it is "
    "stopped, the same command continues it. Writes table.md, table.csv, table.json, cost.png and "
    "report.html. "
    f"Systems: {', '.join(names('causalseg.experiments.leaderboard_config:SYSTEMS'))}.",
    "causalseg.experiments.leaderboard_config:LeaderboardConfig",
    model="causalseg.models.base:ModelConfig",
    skip=("architecture", "models", "axes", "reference", "seed", "ckpt_path", "init"),
)


def main(argv: list[str]) -> int:
    """Train and score what is unfinished, print the table, and write the page."""
    config = COMMAND.read(argv)

    from causalseg.experiments.leaderboard import run_leaderboard
    from causalseg.experiments.leaderboard_words import ACCURACY, accuracy_rows, lead

    found = run_leaderboard(config, say=say)
    show_table(ACCURACY, accuracy_rows(found))
    say(lead(found))
    say(f"Report: {config.out}/report.html")
    return 0
