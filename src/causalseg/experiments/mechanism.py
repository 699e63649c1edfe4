"""Does the intervention do what it is said to: on images with a known confounder.

For an image x and its corrupted copy x~: the relative drift |C(x) - C(x~)| / |C(x)| of the dense
map that goes into the intervention, the same of the map that comes out (F_ca put back), and the
share of attention on the prompt that names the corruption. If the intervention removes the
confounder's effect, drift falls; if it recognises it, attention moves to the prompt.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causalseg.data.corrupt import CAUSES, corrupt
from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest
from causalseg.errors import InputError
from causalseg.evaluation.metrics import FloatArray, dice
from causalseg.evaluation.statistics import cluster_bootstrap, cluster_codes, sign_flip_p
from causalseg.inference.maps import foreground
from causalseg.inference.segmenter import Segmenter
from causalseg.models.mcdrl.model import MCDRL

BATCH = 16


def measure_mechanism(
    segmenter: Segmenter, manifest: Manifest, kinds: Sequence[str], *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Compare clean and corrupted copies of the same images.

    Args:
        segmenter: holding an MCDRL model.
        manifest: the images.
        kinds: of `CORRUPTIONS`.
        seed: of the corruptions.

    Returns:
        Per kind: mean Dice clean and corrupted over frames with a mask; mean relative drift before
        (`drift_dense`) and after (`drift_fused`), with interval and p value of their paired
        difference; the same distance between different clean images (`spread_dense`,
        `spread_fused`), against which a drift is large or small; and `attention` on the matching
        prompt, clean and corrupted, with interval and p value of its gain and the rank of that
        gain among all prompts (1 = largest), or None where the model has no such prompt or no
        intervention.

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
        difference = cluster_bootstrap(after - before, clusters, seed=seed)
        entry: dict[str, Any] = {
            "dice_clean": _mean_dice(segmenter, clean["probability"], truths),
            "dice": _mean_dice(segmenter, other["probability"], truths),
            "drift_dense": float(before.mean()),
            "drift_fused": float(after.mean()),
            "drift_change": asdict(difference),
            "spread_dense": float(_drift(clean["dense"], clean["dense"].roll(1, 0)).mean()),
            "spread_fused": float(_drift(clean["fused"], clean["fused"].roll(1, 0)).mean()),
            "drift_p": sign_flip_p(after - before, clusters, seed=seed),
            "attention": None,
        }
        cause = CAUSES[kind]
        if "attention" in clean and cause in domains:
            place = domains.index(cause)
            entry["attention"] = _attention(
                clean["attention"], other["attention"], place, clusters, seed
            )
        found[kind] = entry
    return found


def _attention(
    clean: Tensor, other: Tensor, place: int, clusters: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    gains = (other - clean).double().numpy()
    gain = cluster_bootstrap(gains[:, place], clusters, seed=seed)
    order = np.argsort(-gains.mean(0), kind="stable")
    return {
        "clean": float(clean[:, place].mean()),
        "corrupted": float(other[:, place].mean()),
        "gain": asdict(gain),
        "p": sign_flip_p(gains[:, place], clusters, seed=seed),
        "rank": int(np.flatnonzero(order == place)[0]) + 1,
        "prompts": gains.shape[1],
    }


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
