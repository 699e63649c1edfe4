"""`causalseg ablate`: run and tabulate an ablation grid."""

from causalseg.cli.config_command import ConfigCommand
from causalseg.terminal import say, show_table

COMMAND = ConfigCommand(
    "ablate",
    "Train and score every cell of a grid of options with every seed. If it is stopped, the same "
    "command continues it; finished runs are not repeated. Writes table.md, table.csv, table.json "
    "and report.html, with intervals by subject and paired tests against the reference cell.",
    "causalseg.experiments.axes:AblationConfig",
    skip=("seed", "ckpt_path"),
)


def main(argv: list[str]) -> int:
    """Run the grid, print the table, and write the report."""
    config = COMMAND.read(argv)

    from causalseg.experiments.ablation import run_ablation
    from causalseg.experiments.ablation_report import DICE_HEADER, dice_rows

    found = run_ablation(config, say=say)
    shown = [DICE_HEADER.index(name) for name in ("cell", "seeds", "Dice [95 %]", "p (Holm)")]
    shown.insert(-1, DICE_HEADER.index("difference to the reference [95 %]"))
    rows = [[row[i] for i in shown] for row in dice_rows(found)]
    show_table([DICE_HEADER[i] for i in shown], rows)
    for cell, comparison in found.compared:
        say(f"{cell.name}: {comparison.claim}")
    say(f"Report: {config.out}/report.html")
    return 0
