"""`causalseg pretrain`: contrastive pre-training of towers on image-sentence pairs."""

from typing import Any

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
    options = COMMAND.read(argv)

    from causalseg.evaluation.files import read_result
    from causalseg.evaluation.statistics import Interval
    from causalseg.training.pretrain import REPORT, PretrainConfig, pretrain

    config = PretrainConfig(**options)
    file = pretrain(config)
    found = read_result(file.with_name(REPORT))["validation"]
    right = found["retrieval"]
    fields = Interval.__dataclass_fields__

    def words(value: dict[str, Any]) -> str:
        return str(Interval(**{key: value[key] for key in fields}))

    say(
        f"own caption among {right['captions']} first: {words(right['recall_at_1'])} of "
        f"{right['images']} validation images (always the commonest: "
        f"{right['commonest_caption']:.3f})"
    )
    if "side_swap" in found:
        swap = found["side_swap"]
        say(
            f"nearer to its caption than to that with left and right exchanged: "
            f"{words(swap)} of {swap['images']} (chance: 0.5)"
        )
    say(f"weights: {file} (for --model.weights of models with encoder {config.encoder})")
    return 0
