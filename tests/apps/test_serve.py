"""`causalseg serve` as a process of its own: ended politely, killed, started again."""

import io
import signal
import threading
import time
import zipfile

import httpx
import numpy as np
import pytest

from causalseg.cli import serve
from causalseg.cli.main import main

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

MANY = 30


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def ask(url, png, **options):
    files, data = {"image": ("x.png", png)}, {"text": "left lung"}
    return httpx.post(f"{url}/segment", files=files, data=data, timeout=30, **options)


def test_a_kill_loses_no_job_and_sigterm_answers_what_is_in_work(
    run_command, tiny_checkpoint, tmp_path, png, pixels, to_png
):
    # A batch that waits a second holds the request in work while the signal comes.
    options = ["serve", "--model", str(tiny_checkpoint), "--jobs", str(tmp_path / "jobs")]
    options += ["--wait-ms", "1000", "--port"]
    process, url = run_command(*options, "0")
    port = url.rsplit(":", 1)[1]
    first = ask(url, png)
    assert first.status_code == 200
    files = [("image", (f"{n}.png", to_png(np.roll(pixels, n, axis=1)))) for n in range(MANY)]
    job = httpx.post(f"{url}/jobs", files=files, data={"text": "left lung"}, timeout=60).json()[
        "id"
    ]
    results = tmp_path / "jobs" / job / "results"
    until(lambda: len(list(results.glob("[!.]*/result.json"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    before = {path: path.stat().st_mtime_ns for path in results.glob("[!.]*/result.json")}
    assert 3 <= len(before) < MANY

    process, url = run_command(*options, port)
    assert httpx.get(f"{url}/ready").status_code == 200
    until(lambda: httpx.get(f"{url}/jobs/{job}").json()["state"] == "done")
    state = httpx.get(f"{url}/jobs/{job}").json()
    assert (state["finished"], state["failed"]) == (MANY, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    archive = zipfile.ZipFile(io.BytesIO(httpx.get(f"{url}/jobs/{job}/results").content))
    assert sum(name.endswith("/result.json") for name in archive.namelist()) == MANY
    assert archive.testzip() is None

    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(url, png)))
    asking.start()
    until(lambda: "in_work 1.0" in httpx.get(f"{url}/metrics").text)
    process.send_signal(signal.SIGTERM)
    asking.join(20)
    assert answers[0].json() == first.json()
    assert process.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_sigterm_before_the_server_runs_is_not_lost(tiny_checkpoint, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)

    def run(server, _):
        signal.raise_signal(signal.SIGTERM)
        return int(server.should_exit) + 40

    monkeypatch.setattr(serve, "_run", run)
    try:
        assert main(["serve", "--model", str(tiny_checkpoint)]) == 41
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "no/such.safetensors"], "no/such.safetensors"),
        (["--most", "0"], "most must be at least 1"),
        (["--timeout-s", "0"], "timeout_s must be above 0"),
        (["--token-file", "no/such/token"], "--token-file no/such/token cannot be read"),
        (["--host", "203.0.113.7", "--model", "CHECKPOINT"], "--host 203.0.113.7"),
        (["--port", "99999", "--model", "CHECKPOINT"], "--port 99999"),
    ],
)
def test_options_that_cannot_be_used_end_in_one_sentence(
    arguments, said, tiny_checkpoint, capsys, monkeypatch
):
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Leave pytest's own handlers alone.
    arguments = [str(tiny_checkpoint) if a == "CHECKPOINT" else a for a in arguments]
    assert main(["serve", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_an_empty_token_file_is_refused(tmp_path, capsys):
    (tmp_path / "token").write_text("\n")
    assert main(["serve", "--token-file", str(tmp_path / "token")]) == 2
    assert "is empty" in capsys.readouterr().err
