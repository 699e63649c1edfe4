"""`causalseg serve` as a process of its own: ended politely, killed, started again."""

import signal
import threading
import time

import httpx
import pytest

from causalseg.cli.main import main

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


def ask(url, png, **options):
    files, data = {"image": ("x.png", png)}, {"text": "left lung"}
    return httpx.post(f"{url}/segment", files=files, data=data, timeout=30, **options)


def test_a_kill_loses_nothing_and_sigterm_answers_what_is_in_work(
    run_command, tiny_checkpoint, png
):
    # A batch that waits a second holds the request in work while the signal comes.
    options = ["serve", "--model", str(tiny_checkpoint), "--wait-ms", "1000"]
    process, url = run_command(*options, "--port", "0")
    port = url.rsplit(":", 1)[1]
    first = ask(url, png)
    assert first.status_code == 200
    process.send_signal(signal.SIGKILL)
    process.wait(20)

    process, url = run_command(*options, "--port", port)
    assert httpx.get(f"{url}/ready").status_code == 200
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(url, png)))
    asking.start()
    end = time.monotonic() + 20
    while "in_work 1.0" not in httpx.get(f"{url}/metrics").text and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    asking.join(20)
    assert answers[0].json() == first.json()
    assert process.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "no/such.safetensors"], "no/such.safetensors"),
        (["--queue", "0"], "queue must be at least 1"),
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
