"""`causalseg fit`: train a model from a YAML config and options."""

from causalseg.cli.config_command import ConfigCommand
from causalseg.terminal import say

COMMAND = ConfigCommand(
    "fit",
    "Train a model. With --architecture NAME, --help shows that model's own options. Continue "
    "a run with --ckpt-path last.",
    "causalseg.training.config:RunConfig",
)


def main(argv: list[str]) -> int:
    """Run the command; see `causalseg fit --help`."""
    config = COMMAND.read(argv)

    from causalseg.training.fit import fit

    best = fit(config)
    say(f"best checkpoint: {best}")
    return 0
