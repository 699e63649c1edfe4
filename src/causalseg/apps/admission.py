"""Which requests are let in, and when: by places, bytes, pixels, and the time that earlier work
takes. Everything here is called on the event loop, except `Rate.add`, which one thread calls.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

from causalseg.apps.limits import Limits

GRACE_S = 2.0
"""Time before a body's pace is checked."""
SLOWEST = 64 * 1024
"""Bytes per second. A slower body gives up its place to a newcomer who finds none."""
BODIES = 8
"""Bodies of the largest size that may be held at once, or proportionally more smaller ones."""
LEAST_PIXELS = 256 * 256
"""A picture counts as at least this many, because reading a small one costs as much."""
_MEMORY = 0.9


class Rate:
    """Seconds that a unit of work takes, over about the last ten measurements."""

    def __init__(self) -> None:
        self._seconds = self._units = 0.0

    def add(self, seconds: float, units: float) -> None:
        """Record that this many units took this long."""
        self._seconds = _MEMORY * self._seconds + seconds
        self._units = _MEMORY * self._units + units

    def of(self, units: float) -> float:
        """Seconds for this many units; 0 before anything was measured."""
        return units * self._seconds / self._units if self._units else 0.0


@dataclass(eq=False)
class Visit:
    """A request that was let in."""

    announced: int
    """Bytes of its body, as announced."""
    deadline: float
    """When its body must be complete, on the clock of `time.monotonic`."""
    since: float = field(default_factory=time.monotonic)
    received: int = 0
    arriving: bool = True
    pixels: int = LEAST_PIXELS
    texts: int = 1
    holds_pixels: bool = False
    waits_for_pixels: bool = False
    timer: asyncio.Timeout | None = None
    """Of the wait for its body, while there is one."""
    turned_away: bool = False

    def pace(self) -> float:
        """Bytes per second of its body so far; infinite during the grace period."""
        age = time.monotonic() - self.since
        return self.received / age if age > GRACE_S else math.inf

    def turn_away(self) -> None:
        """End the wait for its body."""
        self.turned_away, self.deadline = True, 0.0
        if self.timer is not None:
            self.timer.reschedule(0.0)


class Admission:
    """The requests in progress. The time that a newcomer would have to wait is predicted from what
    was measured: seconds of processor time per pixel for reading and drawing, and seconds per mask
    of the model.

    Args:
        limits: `most` requests; bodies of `BODIES * max_bytes` bytes together; pictures of
            `max_pixels` pixels together, whatever their number; a wait of `timeout_s`.

    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._visits: list[Visit] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.pictures, self.model = Rate(), Rate()

    @property
    def in_work(self) -> int:
        """Requests that were let in and are not answered yet."""
        return len(self._visits)

    @contextmanager
    def enter(self, announced: int) -> Iterator[Visit]:
        """Give a place, before a byte of the body is read.

        Args:
            announced: bytes of the body.

        Raises:
            HTTPException: 503 where the wait would be too long, 429 where there is no place.

        """
        # Pictures that wait for room only hold up other large ones.
        self._check_wait([visit for visit in self._visits if not visit.waits_for_pixels])
        self._make_room(announced)
        visit = Visit(announced, time.monotonic() + self._limits.timeout_s)
        self._visits.append(visit)
        try:
            yield visit
        finally:
            if visit in self._visits:
                self._visits.remove(visit)

    @asynccontextmanager
    async def pixels(self, visit: Visit, pixels: int, texts: int) -> AsyncIterator[None]:
        """Wait for room for a picture of that size; smaller ones may go first.

        Raises:
            HTTPException: 503 where the wait would be too long.

        """
        visit.arriving, visit.pixels, visit.texts = False, max(pixels, LEAST_PIXELS), texts
        if not self._fits(visit.pixels):
            self._check_wait([one for one in self._visits if one is not visit])
        visit.waits_for_pixels = True
        try:
            while not self._fits(visit.pixels):
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter
            visit.waits_for_pixels, visit.holds_pixels = False, True
            yield
        finally:
            visit.waits_for_pixels = visit.holds_pixels = False
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    def seconds(self, visits: list[Visit]) -> float:
        """How long these will take, as far as is known."""
        pixels, texts = sum(one.pixels for one in visits), sum(one.texts for one in visits)
        return self.pictures.of(pixels) + self.model.of(texts)

    def _fits(self, pixels: int) -> bool:
        held = [visit.pixels for visit in self._visits if visit.holds_pixels]
        # A single one may exceed the limit for all together.
        return not held or sum(held) + pixels <= self._limits.max_pixels

    def _check_wait(self, ahead: list[Visit]) -> None:
        wait = self.seconds(ahead) - self._limits.timeout_s
        if wait > 0:
            raise HTTPException(
                503,
                "the answer could not be ready in time: try again later.",
                {"Retry-After": str(1 + int(wait))},
            )

    def _make_room(self, announced: int) -> None:
        most = BODIES * self._limits.max_bytes
        while (
            len(self._visits) >= self._limits.most
            or sum(visit.announced for visit in self._visits) + announced > most
        ):
            arriving = [visit for visit in self._visits if visit.arriving]
            slowest = min(arriving, key=Visit.pace, default=None)
            if slowest is None or slowest.pace() >= SLOWEST:
                raise HTTPException(
                    429,
                    "too many requests are in work: try again.",
                    {"Retry-After": str(1 + int(self.seconds(self._visits) / 2))},
                )
            slowest.turn_away()
            self._visits.remove(slowest)
