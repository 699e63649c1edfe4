"""`causalseg confound`: train against a planted confounder, and see what repairs it."""

from causalseg.terminal import say, show_markdown


def main(argv: list[str]) -> int:
    """Run the grid, print the tables, and write the report."""
    from causalseg.cli.fit import parse_run
    from causalseg.experiments.confound_config import ROWS, ConfoundConfig

    options = parse_run(
        argv,
        "causalseg confound",
        "Plant a confounder of known place and strength into a data set, train every row with "
        "every seed, and score each with the plant in agreement, removed and in conflict. If it is "
        "stopped, the same command continues it. Writes table.md, table.json and report.html. "
        f"Rows: {', '.join(ROWS)}.",
        ConfoundConfig,
        skip=("seed", "ckpt_path"),
    )

    from causalseg.experiments.confound import run_confound
    from causalseg.experiments.confound_report import confound_markdown

    config = ConfoundConfig(**options)
    table = run_confound(config, say=say)
    show_markdown(confound_markdown(table))
    say(f"Report: {config.out}/report.html")
    return 0
