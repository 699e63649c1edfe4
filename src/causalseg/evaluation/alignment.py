"""How well images and sentences found each other: retrieval, and left against right."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import cluster_bootstrap, cluster_codes

RECALL_AT = (1, 5)


def ranks(similarity: FloatArray, own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each image's own caption among all distinct captions (n,), from 1.

    Another caption that scores the same stands before it, so that a model which gives every
    caption the same score is last and not first.

    Args:
        similarity: (n, T), images by distinct captions.
        own: (n,) column of each image's caption.

    """
    right = similarity[np.arange(len(own)), own][:, None]
    return np.asarray((similarity >= right).sum(1), np.int64)


def retrieval(
    similarity: FloatArray, own: NDArray[np.int64], subjects: Sequence[str | None], **options: Any
) -> dict[str, Any]:
    """Retrieval against caption classes: an image is right with any image's equal caption.

    Args:
        similarity: (n, T), images by distinct captions.
        own: (n,) column of each image's caption.
        subjects: (n,) for the intervals.
        options: of `cluster_bootstrap`.

    Returns:
        Recall at 1 and 5 with intervals, the median place, and what chance and always naming the
        commonest caption would reach at 1; and the share of captions whose nearest image has them.

    """
    place, clusters = ranks(similarity, own), cluster_codes(subjects)
    recall = {
        f"recall_at_{k}": asdict(cluster_bootstrap((place <= k).astype(float), clusters, **options))
        for k in RECALL_AT
    }
    nearest = own[similarity.argmax(0)]
    return recall | {
        "median_place": float(np.median(place)),
        "captions": similarity.shape[1],
        "images": len(own),
        "chance": 1 / similarity.shape[1],
        "commonest_caption": float(np.bincount(own).max() / len(own)),
        "captions_whose_nearest_image_has_them": float(
            np.mean(nearest == np.arange(similarity.shape[1]))
        ),
    }


def side_swap(
    own: FloatArray, swapped: FloatArray, subjects: Sequence[str | None], **options: Any
) -> dict[str, Any]:
    """Share of images that lie nearer to their caption than to the one with the sides exchanged.

    Half is chance; a tie counts as wrong.

    Args:
        own: (n,) similarity to the caption.
        swapped: (n,) similarity to the exchanged one, which reads differently.
        subjects: (n,) for the interval.
        options: of `cluster_bootstrap`.

    """
    right = (own > swapped).astype(float)
    found = cluster_bootstrap(right, cluster_codes(subjects), **options)
    return asdict(found) | {"images": len(own), "chance": 0.5}
