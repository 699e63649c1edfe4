"""What answers one request: threads that read and draw, and threads that run the model."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import HTTPException, Request, Response

from causalseg.apps.admission import BODIES, Admission, Visit
from causalseg.apps.answers import Answer, Identity, answer
from causalseg.apps.batching import Batcher
from causalseg.apps.jobs import MOST_JOBS, Store
from causalseg.apps.limits import Limits, check_upload, read_upload
from causalseg.apps.metrics import Metrics
from causalseg.apps.worker import Worker
from causalseg.inference.device import share_threads
from causalseg.inference.formats import Study
from causalseg.inference.requests import clean_prompt
from causalseg.inference.segmentation import Segmentation
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import Sentence
from causalseg.text.reading import Sides

# Decoding holds several copies of a picture, so only a few are decoded at once.
_DECODERS = 2
JOBS = "/jobs"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Asked:
    """What one request asks about its image."""

    texts: Sequence[str]
    threshold: float | None = None
    """None: the model's own."""
    sides: Sides | None = None
    strict: bool = False


@dataclass(frozen=True)
class Found:
    """What one request was answered: a result and an answer for each of its texts."""

    study: Study
    results: tuple[Segmentation, ...]
    answers: tuple[Answer, ...]


class Service:
    """A model, its queue and its counters; and the jobs, where there is a folder for them."""

    def __init__(
        self, segmenter: Segmenter, limits: Limits, model: Identity, jobs: Store | None = None
    ) -> None:
        self.segmenter, self.limits, self.model = segmenter, limits, model
        self.metrics = Metrics(limits.most)
        self.admission = Admission(limits)
        self.metrics.waiting.set_function(lambda: self.admission.in_work)
        self.batcher = Batcher(
            segmenter,
            limits.batch_size,
            limits.wait_ms / 1000,
            self._batch_done,
            workers=segmenter.streams,
            share=share_threads,
        )
        self.decoders = ThreadPoolExecutor(_DECODERS, "causalseg-decoder")
        self.jobs = Worker(jobs, segmenter, limits, model.sha256) if jobs else None
        # One job is received at a time, with at most as many bytes as requests may hold together.
        self._job_limits = replace(
            limits,
            most=1,
            max_bytes=BODIES * limits.max_bytes,
            timeout_s=BODIES * limits.timeout_s,
        )
        self._job_door = Admission(self._job_limits)

    def _batch_done(self, size: int, seconds: float) -> None:
        self.metrics.batches.observe(size)
        self.admission.model.add(seconds, size)

    def most_bytes(self, path: str) -> int:
        """Of a body that is sent to a path."""
        return (self._job_limits if path == JOBS else self.limits).max_bytes

    @contextmanager
    def admitted(self, path: str, announced: int) -> Iterator[Visit]:
        """A place among the requests in progress, or else 429 or 503: see `Admission.enter`."""
        if not self.batcher.alive:
            raise HTTPException(503, "the model takes no requests.", {"Retry-After": "5"})
        if self.jobs is not None and path == JOBS:
            if len(self.jobs.store.all()) >= MOST_JOBS:
                said = f"{MOST_JOBS} jobs are kept: fetch and remove one."
                raise HTTPException(429, said, {"Retry-After": "60"})
            door = self._job_door
        else:
            door = self.admission
        with door.enter(announced) as visit:
            yield visit

    async def segment(
        self,
        visit: Visit,
        content: bytes,
        ask: Asked,
        finish: Callable[[Found], Response],
    ) -> Response:
        """Read the texts, decode, wait for the model, draw the line.

        What is awaited here is cancelled with the request: work that has not begun by then is
        skipped, in the queue of the model too.

        Raises:
            InputError: the image or a text cannot be used, or `strict` refuses a text.
            HTTPException: there is no room for a picture of that size in time.

        """
        sentences, pixels = await self._in_thread(
            lambda: (self._read_texts(ask), check_upload(content, self.limits))
        )
        async with self.admission.pixels(visit, pixels, len(sentences)):
            study, reading_s = await self._in_thread(_timed, read_upload, content, self.limits)
            results = await asyncio.gather(
                *(
                    asyncio.wrap_future(self.batcher.submit(study.frames[0], one))
                    for one in sentences
                )
            )

            def draw() -> Response:
                answers = tuple(answer(study, r, self.segmenter, ask.threshold) for r in results)
                return finish(Found(study, tuple(results), answers))

            response: Response
            response, drawing_s = await self._in_thread(_timed, draw)
            self.admission.pictures.add(reading_s + drawing_s, visit.pixels)
            return response

    def _read_texts(self, ask: Asked) -> list[Sentence]:
        return [
            self.segmenter.sentence(clean_prompt(text), ask.sides, strict=ask.strict)
            for text in ask.texts
        ]

    async def _in_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self.decoders, work, *arguments)

    def close(self) -> None:
        """Answer what was admitted, then stop the threads. Jobs continue when the server starts
        again.
        """
        if self.jobs is not None:
            self.jobs.close()
        self.batcher.close()
        self.decoders.shutdown()


def _timed(work: Callable[..., _T], *arguments: Any) -> tuple[_T, float]:
    """A result and the seconds of processor time that it took."""
    start = time.thread_time()
    return work(*arguments), time.thread_time() - start


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Do the work while the client waits for it.

    Raises:
        HTTPException: 499, which only the counters see: the client went away.

    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(499, "the client went away.")
        return working.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
