"""Who is let in: places, bytes, pixels, and waits that are predicted from what was measured."""

import asyncio
from contextlib import AsyncExitStack, ExitStack

import pytest

pytest.importorskip("fastapi")
from starlette.exceptions import HTTPException

from causalseg.apps.admission import BODIES, LEAST_PIXELS, Admission, Rate
from causalseg.apps.limits import Limits


def test_a_rate_is_that_of_the_latest_measurements():
    rate = Rate()
    assert rate.of(1000) == 0
    for _ in range(100):
        rate.add(seconds=2.0, units=4)
    assert rate.of(1) == pytest.approx(0.5)
    for _ in range(100):
        rate.add(seconds=1.0, units=10)
    assert rate.of(1) == pytest.approx(0.1, rel=1e-3)


def test_a_wait_longer_than_the_time_limit_is_refused_and_an_idle_server_refuses_nobody():
    admission = Admission(Limits(timeout_s=10))
    admission.model.add(seconds=4.0, units=1)  # 4 seconds a mask
    with ExitStack() as places:
        for _ in range(3):
            places.enter_context(admission.enter(100))
        with pytest.raises(HTTPException) as refused, admission.enter(100):
            pass
        assert refused.value.status_code == 503
        # The three take 12 seconds: in 2 more the wait is short enough.
        assert refused.value.headers == {"Retry-After": "3"}
    assert admission.in_work == 0
    admission.model.add(seconds=1e6, units=1)
    with admission.enter(100):
        assert admission.in_work == 1


def test_bodies_are_bounded_together():
    limits = Limits(max_bytes=2**20)
    admission = Admission(limits)
    with ExitStack() as places:
        for _ in range(BODIES):
            places.enter_context(admission.enter(limits.max_bytes))
        with pytest.raises(HTTPException) as refused, admission.enter(1):
            pass
        assert refused.value.status_code == 429
        assert int(refused.value.headers["Retry-After"]) >= 1
    with ExitStack() as places:  # Small ones are as many as there are places.
        for _ in range(limits.most):
            places.enter_context(admission.enter(1000))
        assert admission.in_work == limits.most


def test_large_pictures_wait_for_each_other_and_small_ones_pass():
    admission = Admission(Limits(max_pixels=10 * LEAST_PIXELS))
    order = []

    async def picture(name: str, pixels: int, leave: asyncio.Event) -> None:
        with admission.enter(100) as visit:
            async with admission.pixels(visit, pixels, 1):
                order.append(name)
                await leave.wait()

    async def run() -> None:
        leave = {name: asyncio.Event() for name in ("first", "second", "third", "small")}
        tasks = {}
        for name, event in leave.items():
            size = 1 if name == "small" else 9 * LEAST_PIXELS
            tasks[name] = asyncio.create_task(picture(name, size, event))
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert order == ["first", "small"]
        tasks["second"].cancel()  # Its client went away: the next one moves up.
        leave["first"].set()
        await asyncio.sleep(0.01)
        assert order == ["first", "small", "third"]
        for event in leave.values():
            event.set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert admission.in_work == 0

    asyncio.run(run())


def test_a_large_picture_counts_those_before_it_by_their_pixels():
    limits = Limits(max_pixels=10 * LEAST_PIXELS, timeout_s=10)
    admission = Admission(limits)
    admission.pictures.add(seconds=1.0, units=LEAST_PIXELS)  # 8 seconds for each of these

    async def run() -> None:
        async with AsyncExitStack() as stack:
            large = 8 * LEAST_PIXELS
            first = stack.enter_context(admission.enter(100))
            await stack.enter_async_context(admission.pixels(first, large, 1))
            second = stack.enter_context(admission.enter(100))
            waiting = asyncio.create_task(
                stack.enter_async_context(admission.pixels(second, large, 1))
            )
            await asyncio.sleep(0)
            third = stack.enter_context(admission.enter(100))  # Not behind the one that waits.
            with pytest.raises(HTTPException) as refused:
                await stack.enter_async_context(admission.pixels(third, large, 1))
            assert refused.value.status_code == 503
            await stack.enter_async_context(admission.pixels(third, LEAST_PIXELS, 1))
            waiting.cancel()

    asyncio.run(run())
