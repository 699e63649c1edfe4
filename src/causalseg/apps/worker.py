"""The thread that works on jobs, one image or study after another, beside the requests."""

import os
import threading
from contextlib import suppress
from typing import Any, Self

from causalseg.apps.jobs import Job, Store, give_up, work
from causalseg.apps.limits import Limits
from causalseg.errors import InputError
from causalseg.inference.segmenter import Segmenter

_PAUSE_S = 30.0
"""Time before retrying a job whose results could not be written, and between sweeps."""
_NICENESS = 10


class Stopped(BaseException):
    """The current work is no longer wanted; not an Exception, so that nothing catches it as one."""


class Interruptible(Segmenter):
    """A segmenter of the same weights for another thread, which can be stopped between frames."""

    stopped: bool = False

    @classmethod
    def like(cls, other: Segmenter) -> Self:
        """The same model with its own cache."""
        return cls(
            other.model,
            other.preprocessing,
            other.threshold,
            device=str(other.device),
            provenance=other.provenance,
            trust=other.trust,
            flip=other.flip,
        )

    def prompts(self, *arguments: Any, **options: Any) -> Any:
        """As `Segmenter.prompts`.

        Raises:
            Stopped: it was stopped.

        """
        if self.stopped:
            raise Stopped
        return super().prompts(*arguments, **options)


class Worker:
    """Works on the oldest job of a store that is not done.

    Args:
        store: may hold jobs of a process that was killed; they go on.
        segmenter: whose model is used; requests use it at the same time.
        limits: of each image.
        model: SHA-256 of the checkpoint.

    """

    def __init__(self, store: Store, segmenter: Segmenter, limits: Limits, model: str) -> None:
        self.store, self._limits, self._model = store, limits, model
        self._segmenter = Interruptible.like(segmenter)
        self._wake = threading.Event()
        self._closed = False
        self.current: str | None = None
        """Id of the current job."""
        self._thread = threading.Thread(target=self._run, name="causalseg-jobs", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        """There is a new job."""
        self._wake.set()

    def remove(self, job: Job) -> None:
        """Forget a job, and stop working on it."""
        if self.current == job.id:
            self._segmenter.stopped = True
        self.store.remove(job)

    def close(self) -> None:
        """Stop after the current frame; the rest is done when the server runs again."""
        self._closed = self._segmenter.stopped = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # Requests go first, since somebody waits for them.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._closed:
            self._wake.clear()
            if not self._work_on_next():
                self._wake.wait(_PAUSE_S)

    def _work_on_next(self) -> bool:
        """Work on one job; False where there is none that can be worked on."""
        job: Job | None = None
        try:
            self.store.sweep()
            job = next((job for job in self.store.all() if not job.done), None)
            if job is None:
                return False
            self.current = job.id
            work(job, self._segmenter, self._limits, self._model)
        except Stopped:
            self._segmenter.stopped = self._closed
        except (InputError, OSError):
            # the disk is full, or the job was removed meanwhile
            return False
        except Exception as error:
            # One job must not stop the others.
            with suppress(InputError, OSError):
                if job is None:
                    return False
                give_up(job, f"unexpected {type(error).__name__}: please report it.")
        finally:
            self.current = None
        return True
