"""Requests that arrive together are answered together, by threads that run the model."""

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
    """Collects jobs for `Model.batch`: at most `size` of them, for at most `wait_s`.

    What waits is shared out among the workers that are free. On a processor that is the faster
    way: the threads of one operation wait for each other some hundred times in a forward pass, and
    two batches on a thread each never do. A job that is alone may use all threads.

    The queue has no bound of its own: whoever submits must count what is under way.

    Args:
        model: `batch` is called by all workers at a time.
        size: images that go to the model at once.
        wait_s: how long a first job waits for others to share its batch.
        observe: is told the size of every batch, and the seconds it took divided by the batches
            that ran beside it.
        workers: threads that run the model.
        share: a worker calls it before each batch with the number of batches that will run at the
            same time, as far as is known.

    """

    def __init__(
        self,
        model: Model,
        size: int,
        wait_s: float,
        observe: Callable[[int, float], None] | None = None,
        *,
        workers: int = 1,
        share: Callable[[int], None] | None = None,
    ) -> None:
        self._model, self._size, self._wait = model, size, wait_s
        self._observe = observe or (lambda _size, _seconds: None)
        self._share = share or (lambda _batches: None)
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._free = workers
        self._threads = [
            threading.Thread(target=self._work, name=f"causalseg-model-{number}", daemon=True)
            for number in range(workers)
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

    def _work(self) -> None:
        while jobs := self._collect():
            start = time.monotonic()
            self._answer(jobs)
            seconds = time.monotonic() - start
            with self._changed:
                self._observe(len(jobs), seconds / (len(self._threads) - self._free))
                self._free += 1

    def _collect(self) -> list[_Job]:
        """A free worker's share of the jobs that wait; none when there will be no more."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._wait:
                    self._changed.wait_for(self._filled, self._wait)
                share = min(self._size, -(-len(self._jobs) // self._free))
                taken = [self._jobs.popleft() for _ in range(share)]
                jobs = [job for job in taken if job.future.set_running_or_notify_cancel()]
                if jobs:
                    self._free -= 1
                    busy = len(self._threads) - self._free
                    self._share(min(busy + len(self._jobs), len(self._threads)))
                    return jobs
                if self._closed and not self._jobs:
                    return []

    def _filled(self) -> bool:
        return self._closed or len(self._jobs) >= self._size * self._free

    def _answer(self, jobs: Sequence[_Job]) -> None:
        try:
            results = self._model.batch([job.image for job in jobs], [job.text for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            # One job must not spoil the others: each gets a second try by itself.
            for job in jobs:
                self._answer([job])
            return
        for job, result in zip(jobs, results, strict=True):
            job.future.set_result(result)
