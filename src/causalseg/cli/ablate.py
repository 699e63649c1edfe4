"""`causalseg ablate`: run and tabulate an ablation grid."""


def main(argv: list[str]) -> int:
    """Run the grid, print the table, and write the report."""
    from causalseg.cli.fit import parse_run
    from causalseg.training.ablation_plan import AblationConfig

    options = parse_run(
        argv,
        "causalseg ablate",
        "Train and score every cell of a grid of options, for every seed. The same command goes on "
        "where it was stopped: finished runs are not run again. Ends in table.md, table.csv, "
        "table.json and report.html, with intervals by subject and paired tests against the "
        "reference cell.",
        AblationConfig,
        skip=("seed", "ckpt_path"),
    )

    from rich.console import Console
    from rich.markdown import Markdown

    from causalseg.evaluation.ablation import markdown
    from causalseg.training.ablation import run

    config = AblationConfig(**options)
    table = run(config, say=lambda text: print(text, flush=True))
    Console().print(Markdown(markdown(table)))
    print(f"Report: {config.out}/report.html")
    return 0
