"""Requests that arrive together are answered together, by one thread that owns the model."""

import queue
import threading
import time
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

    The queue has no bound of its own: whoever submits must count what is under way.

    Args:
        model: used from one thread only.
        size: images that go to the model at once.
        wait_s: how long a first job waits for others to share its batch.
        observe: is told the size of every batch and the seconds that it took.

    """

    def __init__(
        self,
        model: Model,
        size: int,
        wait_s: float,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self._model, self._size, self._wait = model, size, wait_s
        self._observe = observe or (lambda _size, _seconds: None)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="causalseg-model", daemon=True)
        self._thread.start()

    def submit(self, image: NDArray[np.uint8], text: str | Sentence) -> "Future[Segmentation]":
        """Queue one image (H, W) or (H, W, 3) with its text; cancelling the future skips it.

        Raises:
            RuntimeError: the batcher is closed.

        """
        job = _Job(image, text)
        with self._lock:  # Nothing may be queued behind the mark that ends the thread.
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._jobs.put(job)
        return job.future

    @property
    def alive(self) -> bool:
        """Whether jobs are taken and answered."""
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        """Answer what is queued, then end the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        more = True
        while more:
            jobs, more = self._collect()
            running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if running:
                start = time.monotonic()
                self._answer(running)
                self._observe(len(running), time.monotonic() - start)

    def _collect(self) -> tuple[list[_Job], bool]:
        """The jobs of the next batch, and whether the thread goes on after it."""
        first = self._jobs.get()
        if first is None:
            return [], False
        jobs, end = [first], time.monotonic() + self._wait
        while len(jobs) < self._size:
            try:
                job = self._jobs.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            jobs.append(job)
        return jobs, True

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
