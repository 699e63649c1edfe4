"""`causalseg pretrain`: contrastive pre-training of towers on image-sentence pairs."""

from causalseg.cli.config_command import ConfigCommand
from causalseg.terminal import say

COMMAND = ConfigCommand(
    "pretrain",
    "Bring the towers of an encoder together on image-sentence pairs, so that models can start "
    "from them. Equal captions are positives. Only training images are used, and no masks; "
    "retrieval and left against right are measured on validation. If it is stopped, the same "
    "command continues it.",
    "causalseg.training.pretrain:PretrainConfig",
    model=None,
)


def main(argv: list[str]) -> int:
    """Train, measure, and write the weights."""
    config = COMMAND.read(argv)

    from causalseg.training.pretrain import pretrain

    file, report = pretrain(config)
    found = report.validation.retrieval
    say(
        f"own caption among {found.captions} first: {found.recall_at_1} of {found.images} "
        f"validation images (always the commonest: {found.commonest_caption:.3f})"
    )
    if swap := report.validation.side_swap:
        say(
            f"nearer to its caption than to that with left and right exchanged: {swap.share} of "
            f"{swap.images} (chance: {swap.chance:g})"
        )
    say(f"weights: {file} (for --model.weights of models with encoder {config.encoder})")
    return 0
