"""Slow and silent clients at a real server, on real sockets: they lock nobody out."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

pytest.importorskip("fastapi")
import uvicorn
from fastapi import Response

from causalseg.apps import connections
from causalseg.apps.limits import Limits
from causalseg.apps.server import create_app, uvicorn_config
from causalseg.inference.segmenter import Segmenter

BEGINNING = b"POST /segment HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=x\r\n"


@contextmanager
def running(app) -> Iterator[str]:
    server = uvicorn.Server(uvicorn_config(app))
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def connect(url: str, content: bytes) -> socket.socket:
    port = int(url.rsplit(":", 1)[1])
    found = socket.create_connection(("127.0.0.1", port), timeout=20)
    found.sendall(content)
    return found


def segment(url, png, **options):
    files = {"image": ("x.png", png)}
    return httpx.post(f"{url}/segment", files=files, data={"text": "left lung"}, **options)


def is_closed(client: socket.socket) -> bool:
    """Whether the server ends the connection, within the socket's time-out."""
    try:
        while client.recv(2**16):
            pass
    except ConnectionResetError:
        pass
    return True


def test_half_sent_headers_lock_nobody_out_and_are_given_up(segmenter, png, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE_S", 1.0)
    monkeypatch.setattr(connections, "MOST_IDLE", 40)
    with running(create_app(segmenter)) as url:
        # More of them than may be idle: the oldest make room, and an honest one is served.
        silent = [connect(url, BEGINNING) for _ in range(120)]
        assert segment(url, png, timeout=20).status_code == 200
        assert all(is_closed(client) for client in silent)
        for client in silent:
            client.close()


def test_headers_that_drip_gain_no_time(segmenter, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.6)
    with running(create_app(segmenter)) as url:
        dripping = connect(url, BEGINNING)
        start = time.monotonic()
        ended = False
        while not ended and time.monotonic() - start < 20:
            time.sleep(0.1)
            try:
                dripping.sendall(b"x: y\r\n")
            except OSError:
                ended = True
        assert ended
        dripping.close()


def test_slow_bodies_give_their_places_to_those_who_send(segmenter, png, monkeypatch):
    monkeypatch.setattr("causalseg.apps.admission.GRACE_S", 0.2)
    app = create_app(segmenter, Limits(most=4, timeout_s=20))
    with running(app) as url:
        slow = [
            connect(url, BEGINNING + FORM + b"Content-Length: 9999\r\n\r\n--x") for _ in range(4)
        ]
        while app.state.service.admission.in_work < 4:
            time.sleep(0.02)
        time.sleep(0.3)
        assert segment(url, png, timeout=20).status_code == 200
        # One gave way, and is told so; the others are left alone while there is room.
        assert app.state.service.admission.in_work == 3
        answers = []
        for client in slow:
            client.settimeout(0.3)
            try:
                answers.append(client.recv(2**16))
            except TimeoutError:
                answers.append(b"")
            client.close()
        assert sorted(one[:12] for one in answers) == [b"", b"", b"", b"HTTP/1.1 408"]


def test_an_answer_that_nobody_reads_is_given_up_and_one_read_slowly_is_not(segmenter, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE_S", 0.5)
    app = create_app(segmenter)
    size = 8 * 2**20

    @app.get("/large")
    async def large() -> Response:
        return Response(bytes(size))

    def ask() -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client

    def read(client: socket.socket, pause_s: float) -> int:
        total, last = 0, time.monotonic()
        try:
            while total < size and (chunk := client.recv(2**18)):
                total += len(chunk)
                if time.monotonic() - last > 0.1:
                    time.sleep(pause_s)
                    last = time.monotonic()
        except ConnectionResetError:
            pass
        client.close()
        return total

    with running(app) as url:
        deaf, slow = ask(), ask()
        found = read(slow, 0.2)  # For longer than the server's patience, but all the time.
        time.sleep(1)
        assert found >= size
        assert read(deaf, 0) < size


class Held(Segmenter):
    """The real thing, but only when it is let go."""

    go: threading.Event
    seen: list[int]

    def batch(self, images, texts):
        self.seen.append(len(texts))
        self.go.wait(20)
        return super().batch(images, texts)


def test_what_a_client_no_longer_waits_for_is_skipped(segmenter, png, monkeypatch):
    monkeypatch.setattr("causalseg.inference.device._MOST_STREAMS", 1)
    held = Held(segmenter.model, segmenter.preprocessing, segmenter.threshold)
    held.go, held.seen = threading.Event(), []
    app = create_app(held, Limits(batch_size=1))
    request = httpx.Request(
        "POST", "http://localhost/segment", files={"image": ("x", png)}, data={"text": "left lung"}
    )
    body = request.read()
    head = BEGINNING + b"".join(
        f"{name}: {request.headers[name]}\r\n".encode()
        for name in ("content-length", "content-type")
    )

    def wait_for(condition):
        end = time.monotonic() + 20
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)

    admission = app.state.service.admission
    with running(app) as url:
        clients = [connect(url, head + b"\r\n" + body) for _ in range(5)]
        wait_for(lambda: admission.in_work == 5 and held.seen)
        for client in clients:
            client.close()
        wait_for(lambda: admission.in_work == 0)
        assert admission.in_work == 0  # Their places are free before the model is.
        held.go.set()
        assert segment(url, png, timeout=20).status_code == 200
        said = httpx.get(f"{url}/metrics").text
    assert held.seen == [1, 1]  # The one at hand when they left, and the last.
    assert 'causalseg_requests_total{path="/segment",status="499"} 5.0' in said
