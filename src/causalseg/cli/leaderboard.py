"""`causalseg leaderboard`: all systems on one budget, in one table."""

from typing import Any

from causalseg.terminal import say, show_table


def main(argv: list[str]) -> int:
    """Train and score what is unfinished, print the table, and write the page."""
    options = _parse(argv)

    from causalseg.experiments.leaderboard import run_leaderboard
    from causalseg.experiments.leaderboard_config import LeaderboardConfig
    from causalseg.experiments.leaderboard_words import ACCURACY, accuracy_rows, lead

    config = LeaderboardConfig(**options)
    found = run_leaderboard(config, say=say)
    show_table(ACCURACY, accuracy_rows(found))
    say(lead(found))
    say(f"Report: {config.out}/report.html")
    return 0


def _parse(argv: list[str]) -> dict[str, Any]:
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    from causalseg.cli.config_parser import ConfigParser
    from causalseg.experiments.leaderboard_config import SYSTEMS, LeaderboardConfig
    from causalseg.models.base import ModelConfig

    parser = ConfigParser(
        prog="causalseg leaderboard",
        description="Train all systems on the same data for the same number of steps, score them, "
        "ask them about edited captions, and put them into one table with intervals and paired "
        "tests. If it is stopped, the same command continues it. Writes table.md, table.csv, "
        f"table.json, cost.png and report.html. Systems: {', '.join(SYSTEMS)}.",
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file with the options")
    skipped = {"architecture", "model", "models", "axes", "reference", "seed", "ckpt_path", "init"}
    parser.add_class_arguments(LeaderboardConfig, None, skip=skipped)
    parser.add_class_arguments(ModelConfig, "model")
    return parser.read(argv)
