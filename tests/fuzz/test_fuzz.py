"""A short run of the fuzzing suite, and that it sees what it is for."""

from pathlib import Path

import pytest
from tests.fuzz import worker
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.runner import plan, run, summary

INPUTS = 1500


def test_every_reader_answers_damaged_files_with_a_result_or_its_own_error() -> None:
    jobs = plan(INPUTS, list(READERS))
    assert all(count >= 10 for _, _, count in jobs)
    found = run(jobs, seed=20261125)
    assert found.inputs == sum(count for *_, count in jobs)
    assert not found.problems, summary(found, 0)


def foreign(path: Path) -> object:
    raise KeyError("x")


def slow(path: Path) -> object:
    try:
        while True:
            pass
    except Exception:
        return None


def large(path: Path) -> object:
    return bytearray(400 << 20)


def wordy(path: Path) -> object:
    from causalseg.errors import InputError

    raise InputError("one\ntwo")


@pytest.mark.parametrize(
    ("reader", "problem"),
    [(foreign, "KeyError"), (slow, "not done"), (large, "MB"), (wordy, "one line")],
)
def test_the_suite_sees_what_it_is_for(monkeypatch, tmp_path, reader, problem) -> None:
    import signal

    before = signal.signal(signal.SIGPROF, worker._stop)
    # Only one is about time; the others may need more than a second.
    monkeypatch.setattr(worker, "SECONDS", 1 if reader is slow else 60)
    monkeypatch.setitem(READERS, "false", Reader(reader, dict))
    try:
        assert problem in (worker.drive("false", tmp_path) or "")
    finally:
        signal.signal(signal.SIGPROF, before)


def test_a_process_that_dies_is_an_input_found_and_the_rest_goes_on(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CAUSALSEG_FUZZ_DIE", "text:12")
    found = run([("text", 0, 30), ("results", 0, 10)], seed=1)
    assert found.inputs == 40
    assert [(name, number) for name, number, _ in found.problems] == [("text", 12)]


def test_inputs_are_the_same_for_the_same_seed() -> None:
    seeds = READERS["captions"].seeds()
    once = [worker.damaged("captions", i, 3, seeds) for i in range(60)]
    assert once == [worker.damaged("captions", i, 3, seeds) for i in range(60)]
    assert len({content for _, content in once}) > 50
    assert seeds == READERS["captions"].seeds()
