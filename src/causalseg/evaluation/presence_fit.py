"""Train the head that says where an image by itself shows a finding."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from causalseg.models.presence import FindingHead, evidence

HEAD_WIDTH = 32
HEAD_EPOCHS = 8
HEAD_BATCH = 64
HEAD_RATE = 2e-3
HEAD_DROPOUT = 0.1
HEALTHY_WEIGHT = 3.0
"""How much more a healthy lung counts than one with a finding, of which training sets have more."""


def train_head(
    deep: NDArray[np.float16],
    masks: NDArray[np.float16],
    *,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> FindingHead:
    """Train a head on the deepest features of training images, the model staying as it is.

    The loss is binary cross-entropy and Dice of the coarse map, plus binary cross-entropy of each
    lung's evidence, so that what training sorts is what the check looks at. Every image comes with
    its mirror image: the tower sees a mirrored chest otherwise, and a head that knows only one of
    the two judges the same lung by its side.

    Args:
        deep: (N, 2, C, h, w), of images and of their mirror images.
        masks: (N, G, G): share of each cell of the head's grid that the true mask covers.
        seed: of initial weights, dropout and order.
        tick: called after each epoch.

    Returns:
        The head in evaluation mode; its first layer takes features as they are.

    """
    mean, scale = _statistics(deep[:, 0])
    present = torch.from_numpy((_halves(masks) > 0).astype(np.float32))
    target = torch.from_numpy(masks.astype(np.float32))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        head = FindingHead(deep.shape[2], HEAD_WIDTH, HEAD_DROPOUT).train()
        batch = min(HEAD_BATCH, len(deep))
        steps = len(deep) // batch
        optimizer = torch.optim.AdamW(head.parameters(), lr=HEAD_RATE, weight_decay=0.01)
        rate = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, HEAD_RATE, total_steps=max(2, HEAD_EPOCHS * steps)
        )
        for _ in range(HEAD_EPOCHS):
            order = torch.randperm(len(deep)).numpy()
            for rows in np.split(order[: steps * batch], steps):
                here = np.sort(rows)  # of one order with the file's: faster to gather
                features = (torch.from_numpy(deep[here]).float() - mean) / scale
                plain, mirrored = head(features.transpose(0, 1).flatten(0, 1)).chunk(2)
                loss = _loss(plain, target[here], present[here])
                loss = (loss + _loss(mirrored.flip(2), target[here], present[here])) / 2
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                rate.step()
            tick()
    return _taking_features_as_they_are(head.eval(), mean, scale)


def coarse(mask: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Share of each cell of the head's grid that a mask (H, W) covers, (G, G)."""
    size = (FindingHead.grid, FindingHead.grid)
    shares = F.adaptive_avg_pool2d(torch.from_numpy(mask).float()[None, None], size)
    found: NDArray[np.float16] = shares[0, 0].numpy().astype(np.float16)
    return found


def _statistics(deep: NDArray[np.float16]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, (C, 1, 1), over some of the images."""
    some = deep[:: max(1, len(deep) // 600)].astype(np.float32)
    mean, scale = (f((0, 2, 3))[:, None, None] for f in (some.mean, some.std))
    return torch.from_numpy(mean), torch.from_numpy(scale + 1e-4)


def _halves(masks: NDArray[np.float16]) -> NDArray[np.float32]:
    """The largest share in the left and right half of coarse masks (N, G, G), (N, 2)."""
    half = masks.shape[2] // 2
    return np.stack([masks[:, :, :half].max((1, 2)), masks[:, :, half:].max((1, 2))], 1)


def _loss(logits: torch.Tensor, target: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    p = logits.sigmoid()
    overlap, sizes = (p * target).sum((1, 2)), (p + target).sum((1, 2))
    dice = 1 - ((2 * overlap + 1) / (sizes + 1)).mean()
    weight = torch.where(present > 0, 1.0, HEALTHY_WEIGHT)
    lungs = F.binary_cross_entropy_with_logits(evidence(logits), present, weight)
    return F.binary_cross_entropy_with_logits(logits, target) + dice + lungs


@torch.no_grad()
def _taking_features_as_they_are(
    head: FindingHead, mean: torch.Tensor, scale: torch.Tensor
) -> FindingHead:
    """The same head with the standardisation of its input inside the first convolution."""
    weight = head.reduce.weight / scale
    assert head.reduce.bias is not None
    head.reduce.bias.sub_((weight * mean).sum((1, 2, 3)))
    head.reduce.weight.copy_(weight)
    return head
