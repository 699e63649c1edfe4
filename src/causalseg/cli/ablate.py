"""`causalseg ablate`: run and tabulate an ablation grid."""


def main(argv: list[str]) -> int:
    """Run the grid, print the table, and write the report."""
    from causalseg.cli.fit import parse_run
    from causalseg.experiments.axes import AblationConfig

    options = parse_run(
        argv,
        "causalseg ablate",
        "Train and score every cell of a grid of options with every seed. If it is stopped, the "
        "same command continues it; finished runs are not repeated. Writes table.md, table.csv, "
        "table.json and report.html, with intervals by subject and paired tests against the "
        "reference cell.",
        AblationConfig,
        skip=("seed", "ckpt_path"),
    )

    from rich.console import Console
    from rich.table import Table

    from causalseg.experiments.ablation import run_ablation
    from causalseg.experiments.ablation_report import DICE_HEADER, dice_rows

    config = AblationConfig(**options)
    found = run_ablation(config, say=lambda text: print(text, flush=True))
    shown = [DICE_HEADER.index(name) for name in ("cell", "seeds", "Dice [95 %]", "p (Holm)")]
    shown.insert(-1, DICE_HEADER.index("difference to the reference [95 %]"))
    table = Table(*(DICE_HEADER[i] for i in shown))
    for row in dice_rows(found):
        table.add_row(*(row[i] for i in shown))
    console = Console()
    console.print(table)
    for cell, comparison in found.compared:
        console.print(f"{cell.name}: {comparison.claim}", markup=False, highlight=False)
    console.print(f"Report: {config.out}/report.html", soft_wrap=True)
    return 0
