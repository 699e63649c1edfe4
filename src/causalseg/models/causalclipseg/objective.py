"""The min-max loss of CausalCLIPSeg (Eq. 3 and 4)."""

import warnings
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from causalseg.models.causalclipseg.config import CausalCLIPSegConfig
from causalseg.models.losses import Objective, mask_statistics, soft_dice_loss
from causalseg.models.output import SegmentationOutput

CONFOUNDER_BOUND = 5.0
"""L_s above this means that D_s is being driven to be confidently wrong (chance is ln 2 = 0.69)."""


class MinMaxLoss(Objective):
    """L = L_c - lambda L_s, in the form that the config names.

    With `reversal`, the sign and lambda are in the gradient that reaches the masker, so the loss
    that is minimised is L_c + L_s: D_s learns to predict the mask from the confounding features,
    and the masker learns to leave nothing helpful in them. With `alternating`, odd steps update
    only the masker, by L_c - lambda L_s, and even steps everything else, by L_c + L_s.
    """

    def __init__(self, config: CausalCLIPSegConfig) -> None:
        self.config = config
        self._warned = False

    def masker_turn(self, step: int) -> bool:
        """Whether this step is the masker's (only in the `alternating` form)."""
        return self.config.adversary == "alternating" and step % 2 == 1

    def updates(self, name: str, step: int) -> bool:
        """Whether the parameter called `name` takes part in the update of this step."""
        if self.config.adversary != "alternating":
            return True
        return name.startswith("maskers.") == self.masker_turn(step)

    def __call__(
        self, output: SegmentationOutput, batch: Mapping[str, Tensor], step: int = 0
    ) -> dict[str, Tensor]:
        """`loss`, `causal` (L_c), `confounding` (L_s, where there is one), and per stage the mean
        and the saturated fraction of M; arguments as in `Objective`.
        """
        target = batch["mask"]
        loss = F.binary_cross_entropy_with_logits(output.logits, target)
        if self.config.dice_weight:
            loss = loss + self.config.dice_weight * soft_dice_loss(output.logits, target)
        parts = {"causal": loss}
        if output.confounder_logits is not None:
            adverse = F.binary_cross_entropy_with_logits(output.confounder_logits, target)
            parts["confounding"] = adverse
            self._watch(adverse.detach())
            against = self.config.adversary == "literal" or self.masker_turn(step)
            loss = loss - self.config.adversary_weight * adverse if against else loss + adverse
        parts |= mask_statistics(output.attention)
        return {"loss": loss, **{name: value.detach() for name, value in parts.items()}}

    def _watch(self, adverse: Tensor) -> None:
        if self._warned or adverse <= CONFOUNDER_BOUND:
            return
        self._warned = True
        warnings.warn(
            f"L_s is {float(adverse):.1f}, above {CONFOUNDER_BOUND:g}: the confounding decoder "
            "inflates its logits instead of the masker hiding the lesion. The literal form of "
            "Eq. 3 has no lower bound; use adversary 'reversal' or 'alternating'.",
            stacklevel=3,
        )
