"""Jobs share batches, keep their order and do not spoil each other."""

import threading
import time
from concurrent.futures import wait

import numpy as np
import pytest

from causalseg.apps.batching import Batcher

IMAGE = np.zeros((8, 8), np.uint8)


class Echo:
    """Answers each text with itself; `bad` is refused; waits until it is let go."""

    def __init__(self):
        self.go, self.busy, self.sizes = threading.Event(), threading.Event(), []

    def batch(self, images, texts):
        self.busy.set()
        self.go.wait(10)
        self.sizes.append(len(texts))
        if "bad" in texts:
            raise ValueError("bad")
        return list(texts)


def test_jobs_that_wait_go_together_and_one_bad_job_spoils_no_other():
    model = Echo()
    batcher = Batcher(model, size=4, wait_s=0.0)
    first = batcher.submit(IMAGE, "first")
    model.busy.wait(10)
    rest = [batcher.submit(IMAGE, text) for text in ["a", "bad", "b", "c", "d"]]
    model.go.set()
    wait([first, *rest], timeout=10)
    assert first.result(0) == "first"
    assert [job.result(0) for job in rest if job.exception() is None] == ["a", "b", "c", "d"]
    assert isinstance(rest[1].exception(), ValueError)
    assert model.sizes == [1, 4, 1, 1, 1, 1, 1]
    batcher.close()


def test_a_cancelled_job_is_skipped_and_closing_answers_the_rest():
    model = Echo()
    batcher = Batcher(model, size=8, wait_s=0.0)
    first = batcher.submit(IMAGE, "first")
    model.busy.wait(10)
    second, third = batcher.submit(IMAGE, "second"), batcher.submit(IMAGE, "third")
    assert second.cancel()
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.go.set()
    closing.join(10)
    assert (first.result(0), third.result(0)) == ("first", "third")
    assert model.sizes == [1, 1]
    assert not batcher.alive
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(IMAGE, "late")


def test_free_workers_share_what_waits_and_are_told_how_many_they_are():
    model, shares, seen = Echo(), [], []
    batcher = Batcher(
        model, 8, 0.0, lambda *done: seen.append(done), workers=2, share=shares.append
    )
    alone = batcher.submit(IMAGE, "alone")
    model.busy.wait(10)
    assert shares == [1]
    second = batcher.submit(IMAGE, "second")  # The other worker's, while the first is held.
    end = time.monotonic() + 10
    while len(shares) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert shares == [1, 2]
    rest = [batcher.submit(IMAGE, str(number)) for number in range(9)]
    model.go.set()
    wait([alone, second, *rest], timeout=10)
    assert [job.result(0) for job in rest] == [str(number) for number in range(9)]
    batcher.close()
    assert sum(model.sizes) == sum(size for size, _ in seen) == 11
    assert max(model.sizes) <= 8


def test_a_batch_that_waits_is_split_among_free_workers():
    model = Echo()
    model.go.set()
    batcher = Batcher(model, size=8, wait_s=0.3, workers=2)
    wait([batcher.submit(IMAGE, str(number)) for number in range(8)], timeout=10)
    batcher.close()
    assert sum(model.sizes) == 8
    assert max(model.sizes) == 4  # Half of what waited, and not all of it.
