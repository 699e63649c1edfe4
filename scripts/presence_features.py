"""What tells a healthy lung from one with a finding: evidence that was tried, beside the packaged.

    python scripts/presence_features.py DATA/QaTa-COV19 --out docs/results/trust/presence.json

The packaged check looks at the image alone (`FindingHead`). Before it, the model was asked a
sentence without a place, and what that answer showed in the lung was the evidence; a logistic
regression of more figures of both answers was tried too. It is fitted on training images, on which
the packaged head was trained, and all is judged on validation images, with the images of both lungs
weighted up to their true share. The lungs with a finding are asked by their own caption, the
healthy ones by the mirrored caption.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Record
from causalseg.files import sha256_of, write_json
from causalseg.inference.default import DEFAULT, checkpoint_path
from causalseg.inference.encoded import deep_features, probabilities
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import named_halves
from causalseg.models.checks import half_of, strongest
from causalseg.models.presence import PresenceCheck
from causalseg.progress import progress
from causalseg.text.captions import mirror_caption
from causalseg.text.words import SIDES, UNLOCATED

Array = NDArray[np.float64]
EPSILON = 1e-4
LOST = (0.0128, 0.02, 0.03, 0.1)
"""Shares of lungs with a finding that fall below the threshold."""
WITHOUT_A_PLACE = ("top0.002", "top0.01", "top0.05", "top0.1", "top0.2", "mean", "area", "entropy")
BOTH_ANSWERS = (*WITHOUT_A_PLACE, "asked0.002", "asked0.05", "asked0.2", "asked area", "overlap")


def logit(p: Array) -> Array:
    """Of probabilities kept from 0 and 1."""
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return np.log(p / (1 - p))


def features(unlocated: Array, asked: Array, side: str) -> dict[str, float]:
    """Figures of one lung, from the answers without a place and to the sentence, (S, S) each."""
    mine = unlocated[half_of(unlocated.shape[-1], side)]
    own = asked[half_of(asked.shape[-1], side)]
    shares = (0.002, 0.01, 0.05, 0.1, 0.2)
    found = {f"top{share}": strongest(logit(mine), share).mean() for share in shares}
    found |= {f"asked{share}": strongest(logit(own), share).mean() for share in (0.002, 0.05, 0.2)}
    p = np.clip(mine, 1e-6, 1 - 1e-6)
    return found | {
        "mean": logit(mine).mean(),
        "area": (mine > 0.5).mean(),
        "entropy": -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(),
        "asked area": (own > 0.5).mean(),
        "overlap": np.minimum(mine, own).sum() / (np.maximum(mine, own).sum() + 1e-6),
    }


def look(
    segmenter: Segmenter, presence: PresenceCheck, record: Record
) -> list[tuple[dict[str, float], bool]]:
    """The lungs of a record that count: figures, and whether there is a finding."""
    named = named_halves(record.caption, segmenter.provenance)
    truth = read_mask(record.mask)
    mirrored = mirror_caption(record.caption) if len(named) == 1 else None
    texts = [UNLOCATED, record.caption, *([mirrored] if mirrored else [])]
    output = segmenter.answer(segmenter.encode([read_image(record.image)]), texts)
    unlocated, *maps = probabilities(output).astype(np.float64)
    deep = deep_features(output, 0)
    assert deep is not None
    alone = presence.evidence(deep)
    found = []
    for i, side in enumerate(SIDES):
        ill = bool(truth[half_of(truth.shape[1], side)].any())
        if side in named and ill:
            found.append((features(unlocated, maps[0], side) | {"alone": float(alone[i, 0])}, True))
        elif mirrored and side not in named and not ill:
            found.append(
                (features(unlocated, maps[1], side) | {"alone": float(alone[i, 0])}, False)
            )
    return found


def lungs(
    segmenter: Segmenter, presence: PresenceCheck, data: Path, split: str, most: tuple[int, int]
) -> tuple[list[dict[str, float]], NDArray[np.bool_], Array]:
    """Figures, truth and weights of the lungs in so many images with one lung named, and two."""
    records = read_lvit(data, split, leaks="leave_out").limit(None, 0).records
    order = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
    kinds = [
        [r for r in order if len(named_halves(r.caption, segmenter.provenance)) == n]
        for n in (1, 2)
    ]
    rows, weights = [], []
    with progress(split, sum(min(n, len(k)) for n, k in zip(most, kinds, strict=True))) as (
        tick,
        _,
    ):
        for count, kind in zip(most, kinds, strict=True):
            for record in kind[:count]:
                seen = look(segmenter, presence, record)
                rows += seen
                weights += [len(kind) / min(count, len(kind))] * len(seen)
                tick()
    return [row for row, _ in rows], np.array([ill for _, ill in rows]), np.array(weights)


def fitted(x: Array, ill: NDArray[np.bool_], weights: Array, penalty: float = 1e-3) -> Array:
    """Weights of a logistic regression, both classes alike; the last is the constant."""
    share = np.where(ill, weights / weights[ill].sum(), weights / weights[~ill].sum()) / 2
    sign = np.where(ill, 1.0, -1.0)
    x = np.column_stack([x, np.ones(len(x))])

    def loss(w: Array) -> tuple[float, Array]:
        margin = sign * (x @ w)
        slope = -sign * share / (1 + np.exp(margin))
        shrink = np.append(w[:-1], 0)
        value = (share * np.logaddexp(0, -margin)).sum() + penalty * (shrink**2).sum()
        return float(value), x.T @ slope + 2 * penalty * shrink

    found: Array = minimize(loss, np.zeros(x.shape[1]), jac=True).x
    return found


def judged(score: Array, ill: NDArray[np.bool_], weights: Array) -> dict[str, float]:
    """AUROC, and the share of healthy lungs below the threshold that loses so many ill ones."""
    order = np.argsort(score)
    below = np.cumsum((weights * ~ill)[order])
    auroc = ((weights * ill)[order] * below).sum() / (weights[ill].sum() * weights[~ill].sum())
    mine = np.argsort(score[ill])
    lost = np.cumsum(weights[ill][mine]) / weights[ill].sum()
    limits = [score[ill][mine][np.searchsorted(lost, share)] for share in LOST]
    null = {
        f"healthy below at {100 * share:g} % lost": float((score[~ill] < limit).mean())
        for share, limit in zip(LOST, limits, strict=True)
    }
    return {"auroc": float(auroc), **null}


def matrix(rows: list[dict[str, float]], names: tuple[str, ...], like: Array) -> Array:
    """(N, F) standardised by other rows' figures (M, F)."""
    x = np.array([[row[name] for name in names] for row in rows])
    return (x - like.mean(0)) / (like.std(0) + 1e-9)


def main() -> None:
    """Fit on training images and judge on validation images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    path = checkpoint_path(args.model)
    loaded = Segmenter.load(path)
    segmenter = Segmenter(
        loaded.model, loaded.preprocessing, loaded.threshold, provenance=loaded.provenance
    )
    presence = loaded.trust.presence
    assert presence is not None
    train, ill, weights = lungs(segmenter, presence, args.data, "train", (800, 250))
    val, truth, val_weights = lungs(segmenter, presence, args.data, "val", (420, 150))
    results = {
        title: judged(np.array([row[name] for row in val]), truth, val_weights)
        for title, name in (
            ("answer to a sentence without a place, one figure", "top0.05"),
            ("image alone, as packaged", "alone"),
        )
    }
    for title, names in (
        ("answer to a sentence without a place", WITHOUT_A_PLACE),
        ("the same and the answer to the sentence", BOTH_ANSWERS),
        ("both answers and the image alone", (*BOTH_ANSWERS, "alone")),
    ):
        like = np.array([[row[name] for name in names] for row in train])
        w = fitted(matrix(train, names, like), ill, weights)
        results[title] = judged(matrix(val, names, like) @ w[:-1], truth, val_weights)
    healthy = {"train": int((~ill).sum()), "val": int((~truth).sum())}
    diseased = {"train": int(ill.sum()), "val": int(truth.sum())}
    record = {
        "model_sha256": sha256_of(path),
        "healthy": healthy,
        "diseased": diseased,
        "results": results,
    }
    write_json(args.out, record)
    print(record)


if __name__ == "__main__":
    main()
