import math

import pytest
import torch

from causalseg.models.mcdrl.config import MCDRLConfig
from causalseg.models.mcdrl.objective import CausalLoss, causal_loss, contrast_loss
from causalseg.models.output import SegmentationOutput


def test_causal_loss_of_unit_vectors_is_two_minus_twice_the_cosine():
    pooled, target = torch.randn(3, 8) * 50, torch.randn(8)
    cosines = torch.cosine_similarity(pooled, target[None], dim=1)
    loss = causal_loss(pooled, target, normalised=True)
    torch.testing.assert_close(loss, (2 - 2 * cosines).mean())
    raw = causal_loss(pooled, target, normalised=False)
    torch.testing.assert_close(raw, ((pooled - target) ** 2).sum(1).mean())


def test_contrast_loss_by_hand():
    classes = torch.eye(3)
    image = torch.tensor([[2.0, 0.0, 0.0]])
    wanted = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert float(contrast_loss(image, classes, 0, 0.5)) == pytest.approx(wanted, abs=1e-6)
    assert float(contrast_loss(image, classes, 1, 0.5)) > wanted
    assert float(contrast_loss(image, classes[:1], 0, 0.5)) == 0.0


def output(**auxiliary):
    return SegmentationOutput(
        logits=torch.zeros(2, 1, 4, 4),
        auxiliary={"image": torch.randn(2, 8), "classes": torch.randn(5, 8), **auxiliary},
    )


def test_the_total_is_the_weighted_sum_and_parts_can_be_switched_off():
    batch = {"mask": torch.ones(2, 1, 4, 4)}
    given = output(pooled=torch.randn(2, 8), causal_target=torch.randn(8))
    parts = CausalLoss(MCDRLConfig(encoder="tiny"))(given, batch)
    total = parts["segmentation"] + 0.5 * parts["causal"] + 0.1 * parts["contrast"]
    torch.testing.assert_close(parts["loss"], total)
    assert float(parts["segmentation"]) == pytest.approx(math.log(2))
    off = MCDRLConfig(encoder="tiny", causal_weight=0, contrast_weight=0)
    alone = CausalLoss(off)(given, batch)
    assert set(alone) == {"loss", "segmentation"}
    torch.testing.assert_close(alone["loss"], parts["segmentation"])


def test_before_the_intervention_there_is_no_causal_loss():
    parts = CausalLoss(MCDRLConfig(encoder="tiny"))(output(), {"mask": torch.ones(2, 1, 4, 4)})
    assert "causal" not in parts


def test_the_lesion_is_the_positive_class():
    given = output()
    batch = {"mask": torch.ones(2, 1, 4, 4)}
    losses = {
        name: float(CausalLoss(MCDRLConfig(encoder="tiny", lesion=name))(given, batch)["contrast"])
        for name in ("polyp", "cyst")
    }
    assert losses["polyp"] != losses["cyst"]
