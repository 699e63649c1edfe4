"""Requests that arrive together are answered together, by threads that own a model each."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from causalseg.inference.segmentation import Segmentation
from causalseg.inference.sentences import Sentence


class Model(Protocol):
    """What is used of `causalseg.inference.segmenter.Segmenter`."""

    def batch(self, images: Sequence[Any], texts: Sequence[str | Sentence]) -> list[Segmentation]:
        """One result an image and its text."""


@dataclass
class _Job:
    image: NDArray[np.uint8]
    text: str | Sentence
    future: "Future[Segmentation]" = field(default_factory=Future)


class Batcher:
    """Shares jobs among models: batches of at most `size`, for which a job waits `wait_s` at most.

    A job that is alone gets all processors. Several are shared out, so that each model has fewer
    processors to itself: halves of a batch on one processor each wait for nobody, where the
    threads of one operation wait for the slowest of them at every operation.

    The queue has no bound of its own: whoever submits must count what is under way.

    Args:
        models: each is used from one thread only.
        size: images that go to a model at once.
        wait_s: how long a first job waits for others to share its batch.
        observe: is told the size of every batch and the seconds that its model took.
        share: is called by a model's thread before each batch with the number of models that
            share the processors.

    """

    def __init__(
        self,
        models: Sequence[Model],
        size: int,
        wait_s: float,
        observe: Callable[[int, float], None] | None = None,
        share: Callable[[int], None] | None = None,
    ) -> None:
        self._size, self._wait = size, wait_s
        self._observe = observe or (lambda _size, _seconds: None)
        self._share = share or (lambda _models: None)
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._busy = 0
        self._threads = [
            threading.Thread(
                target=self._work, args=(model,), name=f"causalseg-model-{i}", daemon=True
            )
            for i, model in enumerate(models)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, image: NDArray[np.uint8], text: str | Sentence) -> "Future[Segmentation]":
        """Queue one image (H, W) or (H, W, 3) with its text; cancelling the future skips it.

        Raises:
            RuntimeError: the batcher is closed.

        """
        job = _Job(image, text)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._jobs.append(job)
            self._changed.notify_all()
        return job.future

    @property
    def alive(self) -> bool:
        """Whether jobs are taken and answered."""
        return not self._closed and all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Answer what is queued, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, model: Model) -> None:
        while jobs := self._collect():
            start = time.monotonic()
            _answer(model, jobs)
            taken = time.monotonic() - start
            with self._changed:
                models, self._busy = self._busy, self._busy - 1
                self._observe(len(jobs), taken / models)

    def _collect(self) -> list[_Job]:
        """The jobs of a model's next batch: its share of those that wait; none at the end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._wait:
                    full = self._size * (len(self._threads) - self._busy)
                    self._changed.wait_for(
                        lambda full=full: self._closed or len(self._jobs) >= full, self._wait
                    )
                idle = len(self._threads) - self._busy
                share = min(self._size, -(-len(self._jobs) // idle))
                jobs = [self._jobs.popleft() for _ in range(share)]
                jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
                if jobs:
                    self._busy += 1
                    self._share(min(len(self._threads), self._busy + len(self._jobs)))
                    return jobs
                if self._closed and not self._jobs:
                    return []


def _answer(model: Model, jobs: Sequence[_Job]) -> None:
    try:
        results = model.batch([job.image for job in jobs], [job.text for job in jobs])
    except Exception as error:
        if len(jobs) == 1:
            jobs[0].future.set_exception(error)
            return
        # One job must not spoil the others: each gets a second try by itself.
        for job in jobs:
            _answer(model, [job])
        return
    for job, result in zip(jobs, results, strict=True):
        job.future.set_result(result)
