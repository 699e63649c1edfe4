"""Objectives and losses that several models share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from causalseg.models.output import SegmentationOutput


class Objective(ABC):
    """What training minimises, and which parameters are updated when."""

    @abstractmethod
    def __call__(
        self, output: SegmentationOutput, batch: Mapping[str, Tensor], step: int = 0
    ) -> dict[str, Tensor]:
        """Losses by name; `loss` is minimised, the rest is logged.

        Args:
            output: the model's, in training mode.
            batch: `image` (B, 3, H, W), `mask` (B, 1, H, W) in {0, 1} and `tokens` (B, L).
            step: number of the optimisation step, from 0.

        """

    def updates(self, name: str, step: int) -> bool:  # noqa: ARG002
        """Whether the parameter called `name` takes part in the update of this step."""
        return True


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - mean soft Dice per image, smoothed by one pixel so that an empty mask has a gradient.

    Args:
        logits: (B, 1, H, W).
        target: (B, 1, H, W) in {0, 1}.

    """
    p, y = logits.sigmoid().flatten(1), target.flatten(1)
    return 1 - ((2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)).mean()


SATURATED = 0.01
"""A mask value within this of 0 or 1 counts as saturated."""


def mask_statistics(masks: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """The mean and the saturated fraction of each stage's causal mask M, for the log."""
    found: dict[str, Tensor] = {}
    for stage, mask in masks.items():
        m = mask.detach()
        found[f"mask{stage}_mean"] = m.mean()
        found[f"mask{stage}_saturated"] = ((m < SATURATED) | (m > 1 - SATURATED)).float().mean()
    return found


class SegmentationLoss(Objective):
    """Weighted sum of binary cross-entropy and soft Dice on the logits.

    Args:
        cross_entropy: weight of the cross-entropy.
        dice: weight of the Dice loss.

    """

    def __init__(self, cross_entropy: float = 0.5, dice: float = 0.5) -> None:
        self.cross_entropy = cross_entropy
        self.dice = dice

    def __call__(
        self,
        output: SegmentationOutput,
        batch: Mapping[str, Tensor],
        step: int = 0,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """`loss`, and its two parts before they are weighted."""
        target = batch["mask"]
        cross_entropy = F.binary_cross_entropy_with_logits(output.logits, target)
        dice = soft_dice_loss(output.logits, target)
        return {
            "loss": self.cross_entropy * cross_entropy + self.dice * dice,
            "cross_entropy": cross_entropy.detach(),
            "dice": dice.detach(),
        }
