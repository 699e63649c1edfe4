"""`causalseg leaderboard`: all systems on one budget, in one table."""

from typing import Any


def main(argv: list[str]) -> int:
    """Train and score what is unfinished, print the table, and write the page."""
    options = _parse(argv)

    from rich.console import Console
    from rich.table import Table

    from causalseg.experiments.leaderboard import run_leaderboard
    from causalseg.experiments.leaderboard_config import LeaderboardConfig
    from causalseg.experiments.leaderboard_words import ACCURACY, accuracy_rows, lead

    config = LeaderboardConfig(**options)
    found = run_leaderboard(config, say=lambda text: print(text, flush=True))
    table = Table(*ACCURACY)
    for row in accuracy_rows(found):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(lead(found), markup=False, highlight=False)
    console.print(f"Report: {config.out}/report.html", soft_wrap=True)
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
