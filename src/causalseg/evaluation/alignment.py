"""How well images and sentences found each other: retrieval, and left against right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import Interval, cluster_bootstrap, cluster_codes


@dataclass(frozen=True)
class Retrieval:
    """Finding an image's caption among all distinct captions, and a caption's image."""

    recall_at_1: Interval
    """Share of images whose own caption comes first."""
    recall_at_5: Interval
    median_place: float
    captions: int
    images: int
    chance: float
    """Recall at 1 of a guess."""
    commonest_caption: float
    """Recall at 1 of always naming the commonest caption."""
    captions_whose_nearest_image_has_them: float


@dataclass(frozen=True)
class SideSwap:
    """Share of images that lie nearer to their caption than to it with the sides exchanged."""

    share: Interval
    images: int
    chance: float = 0.5


@dataclass(frozen=True)
class Alignment:
    """What a pair of towers is measured by."""

    retrieval: Retrieval
    side_swap: SideSwap | None
    """None where no caption names a side."""


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
    similarity: FloatArray,
    own: NDArray[np.int64],
    subjects: Sequence[str | None],
    *,
    resamples: int = 10_000,
) -> Retrieval:
    """Retrieval against caption classes: an image is right with any image's equal caption.

    Args:
        similarity: (n, T), images by distinct captions.
        own: (n,) column of each image's caption.
        subjects: (n,) for the intervals.
        resamples: how many, for the bootstrap.

    """
    place, clusters = ranks(similarity, own), cluster_codes(subjects)
    first, among_five = (
        cluster_bootstrap((place <= k).astype(float), clusters, resamples=resamples) for k in (1, 5)
    )
    nearest = own[similarity.argmax(0)]
    return Retrieval(
        recall_at_1=first,
        recall_at_5=among_five,
        median_place=float(np.median(place)),
        captions=similarity.shape[1],
        images=len(own),
        chance=1 / similarity.shape[1],
        commonest_caption=float(np.bincount(own).max() / len(own)),
        captions_whose_nearest_image_has_them=float(
            np.mean(nearest == np.arange(similarity.shape[1]))
        ),
    )


def side_swap(
    own: FloatArray,
    swapped: FloatArray,
    subjects: Sequence[str | None],
    *,
    resamples: int = 10_000,
) -> SideSwap:
    """Share of images that lie nearer to their caption than to the one with the sides exchanged.

    Half is chance; a tie counts as wrong.

    Args:
        own: (n,) similarity to the caption.
        swapped: (n,) similarity to the exchanged one, which reads differently.
        subjects: (n,) for the interval.
        resamples: how many, for the bootstrap.

    """
    right = (own > swapped).astype(float)
    return SideSwap(
        cluster_bootstrap(right, cluster_codes(subjects), resamples=resamples), len(own)
    )
