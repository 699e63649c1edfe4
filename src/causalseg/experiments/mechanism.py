"""Does the intervention do what it is said to do? Measured on images with a known confounder.

For an image x and its corrupted copy x~: the relative drift |C(x) - C(x~)| / |C(x)| of the dense
map that goes into the intervention, the same of the map that comes out (F_ca put back), and the
share of attention on the prompt that names the corruption. If the intervention removes the
confounder's effect, drift falls; if it recognises it, attention moves to the prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causalseg.data.corrupt import CAUSES, corrupt
from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest
from causalseg.errors import InputError
from causalseg.evaluation.metrics import FloatArray, dice
from causalseg.evaluation.statistics import Interval, cluster_bootstrap, cluster_codes, sign_flip_p
from causalseg.inference.maps import foreground
from causalseg.inference.segmenter import Segmenter
from causalseg.models.mcdrl.model import MCDRL

BATCH = 16


@dataclass(frozen=True)
class AttentionGain:
    """Attention on the prompt that names a corruption's cause, a mean over images."""

    clean: float
    corrupted: float
    gain: Interval
    p: float
    rank: int
    """Of the gain among all prompts; 1 is the largest."""
    prompts: int


@dataclass(frozen=True)
class CorruptionEffect:
    """What one corruption does to the same images; drift is |F(x) - F(x~)| / |F(x)|."""

    dice_clean: float | None
    """Mean over frames with a mask; None where there is none."""
    dice: float | None
    drift_dense: float
    """Before the intervention."""
    drift_fused: float
    """After it."""
    drift_change: Interval
    """Drift after minus before, paired."""
    spread_dense: float
    """The same distance between different clean images, which says whether a drift is large."""
    spread_fused: float
    drift_p: float
    attention: AttentionGain | None
    """None where the model has no such prompt or no intervention."""


def measure_mechanism(
    segmenter: Segmenter, manifest: Manifest, kinds: Sequence[str], *, seed: int = 0
) -> dict[str, CorruptionEffect]:
    """Compare clean and corrupted copies of the same images.

    Args:
        segmenter: holding an MCDRL model.
        manifest: the images.
        kinds: some of `CORRUPTIONS`.
        seed: decides how the corruptions are drawn.

    Returns:
        The effect of each kind.

    Raises:
        InputError: the checkpoint is not an MCDRL model.

    """
    model = segmenter.model
    if not isinstance(model, MCDRL):
        raise InputError(
            "this checkpoint is not an MCDRL model: it has no intervention to measure."
        )
    images = [read_image(record.image) for record in manifest.records]
    truths = [
        segmenter.preprocessing.resize_mask(read_mask(record.mask)) for record in manifest.records
    ]
    clusters = cluster_codes([record.subject for record in manifest.records])
    names = [record.image.name for record in manifest.records]
    domains = model.config.prompt_table.domain_names
    clean = _features(segmenter, model, images)
    found = {}
    for kind in kinds:
        altered = [corrupt(i, kind, n, seed) for i, n in zip(images, names, strict=True)]
        other = _features(segmenter, model, altered)
        before = _drift(clean["dense"], other["dense"])
        after = _drift(clean["fused"], other["fused"])
        cause, attention = CAUSES[kind], None
        if "attention" in clean and cause in domains:
            place = domains.index(cause)
            attention = _attention(clean["attention"], other["attention"], place, clusters, seed)
        found[kind] = CorruptionEffect(
            dice_clean=_mean_dice(segmenter, clean["probability"], truths),
            dice=_mean_dice(segmenter, other["probability"], truths),
            drift_dense=float(before.mean()),
            drift_fused=float(after.mean()),
            drift_change=cluster_bootstrap(after - before, clusters, seed=seed),
            spread_dense=float(_drift(clean["dense"], clean["dense"].roll(1, 0)).mean()),
            spread_fused=float(_drift(clean["fused"], clean["fused"].roll(1, 0)).mean()),
            drift_p=sign_flip_p(after - before, clusters, seed=seed),
            attention=attention,
        )
    return found


def _attention(
    clean: Tensor, other: Tensor, place: int, clusters: NDArray[np.int64], seed: int
) -> AttentionGain:
    gains = (other - clean).double().numpy()
    gain = cluster_bootstrap(gains[:, place], clusters, seed=seed)
    order = np.argsort(-gains.mean(0), kind="stable")
    return AttentionGain(
        clean=float(clean[:, place].mean()),
        corrupted=float(other[:, place].mean()),
        gain=gain,
        p=sign_flip_p(gains[:, place], clusters, seed=seed),
        rank=int(np.flatnonzero(order == place)[0]) + 1,
        prompts=gains.shape[1],
    )


@torch.inference_mode()
def _features(
    segmenter: Segmenter, model: MCDRL, images: Sequence[NDArray[np.uint8]]
) -> dict[str, Tensor]:
    """Probability (n, S, S), dense and fused maps (n, d, h, w), attention by domain (n, M)."""
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        output = segmenter.answer(segmenter.encode(batch), [""] * len(batch))
        given = {
            "probability": output.logits.sigmoid()[:, 0],
            "dense": output.auxiliary["dense"],
            "fused": output.auxiliary["fused"],
        }
        if output.confounder_attention is not None:
            by_entry = output.confounder_attention.mean(1)
            count = len(model.config.prompt_table.domain_names)
            if by_entry.shape[1] % count == 0:  # K * M sentences: summed over the classes
                given["attention"] = by_entry.view(len(by_entry), -1, count).sum(1)
        for name, value in given.items():
            parts.setdefault(name, []).append(value.float().cpu())
    return {name: torch.cat(values) for name, values in parts.items()}


def _drift(clean: Tensor, other: Tensor) -> FloatArray:
    """|a - b| / |a| for each image, (n,)."""
    a, b = clean.flatten(1).double(), other.flatten(1).double()
    drift: FloatArray = ((a - b).norm(dim=1) / a.norm(dim=1)).numpy()
    return drift


def _mean_dice(
    segmenter: Segmenter, probability: Tensor, truths: Sequence[NDArray[np.bool_]]
) -> float | None:
    scores = [
        dice(foreground(p, segmenter.threshold), truth)
        for p, truth in zip(probability.numpy(), truths, strict=True)
        if truth.any()
    ]
    return float(np.mean(scores)) if scores else None
