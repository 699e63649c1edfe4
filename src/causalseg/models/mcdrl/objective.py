"""L = L_seg + 0.5 L_causal + 0.1 L_contrast."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from causalseg.models.losses import Objective
from causalseg.models.mcdrl.config import MCDRLConfig
from causalseg.models.output import SegmentationOutput


def causal_loss(pooled: Tensor, target: Tensor, *, normalised: bool) -> Tensor:
    """|| Pool(F_ca) - (1/M) sum_m t_{k,m} ||^2, averaged over the batch.

    Args:
        pooled: Pool(F_ca), (B, d).
        target: (1/M) sum_m t_{k,m}, (d,).
        normalised: between unit vectors, so that the value lies in [0, 4].

    """
    if normalised:
        pooled, target = F.normalize(pooled, dim=-1), F.normalize(target, dim=-1)
    return (pooled - target).square().sum(-1).mean()


def contrast_loss(image: Tensor, classes: Tensor, lesion: int, temperature: float) -> Tensor:
    """InfoNCE of image features against class texts; identically zero for one class.

    Args:
        image: (B, d).
        classes: (K, d).
        lesion: the class of every image.
        temperature: divides the cosines.

    """
    cosines = F.normalize(image, dim=1) @ F.normalize(classes, dim=1).T
    target = torch.full((len(image),), lesion, device=image.device)
    return F.cross_entropy(cosines / temperature, target)


class CausalLoss(Objective):
    """The three losses, without those that are switched off."""

    def __init__(self, config: MCDRLConfig) -> None:
        self.config = config

    def __call__(
        self,
        output: SegmentationOutput,
        batch: Mapping[str, Tensor],
        step: int = 0,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            output: the model's. batch: with "mask", (B, 1, H, W) in {0, 1}.
            step: not used.

        Returns:
            `loss` to be minimised, `segmentation`, and where they are on `causal` (absent before
            the intervention is) and `contrast`.

        """
        config, given = self.config, output.auxiliary
        loss = F.binary_cross_entropy_with_logits(output.logits, batch["mask"])
        parts = {"segmentation": loss}
        if config.causal_weight and "pooled" in given:
            normalised = config.causal_scale == "normalised"
            parts["causal"] = causal_loss(
                given["pooled"].float(), given["causal_target"], normalised=normalised
            )
            loss = loss + config.causal_weight * parts["causal"]
        if config.contrast_weight:
            parts["contrast"] = contrast_loss(
                given["image"].float(), given["classes"], config.lesion_index, config.temperature
            )
            loss = loss + config.contrast_weight * parts["contrast"]
        return {"loss": loss, **{name: value.detach() for name, value in parts.items()}}
