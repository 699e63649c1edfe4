"""Models go to a hub and come back, through huggingface_hub's own client and a server on disk."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as its client needs for small files, kept in a folder."""

    root: Path
    token = "Bearer hf_secret"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        repository, _, file = self.path.partition("/resolve/main/")
        path = self.root / repository.strip("/") / file
        if not path.is_file():
            return self.answer(404, X_Error_Code="EntryNotFound")
        body = path.read_bytes()
        etag = f'"{hashlib.sha1(body).hexdigest()}"'
        return self.answer(200, body, ETag=etag, X_Repo_Commit=COMMIT)

    def do_GET(self) -> None:
        self.do_HEAD()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != self.token:
            return self.answer(401)
        if self.path == "/api/repos/create":
            given = json.loads(body)
            assert given["visibility"] == "private"
            (self.root / given["organization"] / given["name"]).mkdir(parents=True)
            return self.answer(200, json.dumps({"url": self.path}).encode())
        if "/preupload/" in self.path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return self.answer(200, json.dumps({"files": files}).encode())
        repository = self.path.removeprefix("/api/models/").partition("/commit/")[0]
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                (self.root / repository / line["value"]["path"]).write_bytes(content)
        place = f"http://{self.headers['Host']}/{repository}/commit/{COMMIT}"
        done = {"commitUrl": place, "commitOid": COMMIT}
        return self.answer(200, json.dumps(done).encode())


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    (tmp_path / "hub").mkdir()
    handler = type("Handler", (Hub,), {"root": tmp_path / "hub"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.server_close()


SCRIPT = """
import sys, time
from causalseg import InputError, Segmenter, build_model

def attempt(name, call):
    start = time.monotonic()
    try:
        print(name, call(), flush=True)
    except InputError as error:
        assert time.monotonic() - start < 8, "the retries took long"
        print(name, error, flush=True)

own = Segmenter.load(sys.argv[1])
attempt("push", lambda: own.push("group/lungs"))
attempt("load", lambda: Segmenter.load("hf:group/lungs"))
attempt("absent", lambda: Segmenter.load("hf:group/lungs/other.safetensors"))
print("now without a network", flush=True)
sys.stdin.readline()
attempt("cached", lambda: Segmenter.load("hf:group/lungs"))
attempt("offline", lambda: Segmenter.load("hf:group/hearts"))
attempt("weights", lambda: build_model("causalclipseg", encoder="tiny", weights="openai:RN50"))
attempt("unpushed", lambda: own.push("group/lungs"))
"""


def test_a_model_is_pushed_fetched_and_used_without_a_network(
    hub: ThreadingHTTPServer, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "cache"),
        "HF_TOKEN": "hf_secret",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tiny_checkpoint)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith("now without"):
            hub.shutdown()
            hub.server_close()
            process.stdin.write("\n")
            process.stdin.flush()
        name, _, words = line.strip().partition(" ")
        told[name] = words
    assert process.wait() == 0
    uploaded = tmp_path / "hub" / "group" / "lungs" / "best.safetensors"
    assert uploaded.read_bytes() == tiny_checkpoint.read_bytes()
    assert told["load"] == told["cached"] != ""
    assert told["load"].startswith("Segmenter(CausalCLIPSeg, 64 x 64 px")
    assert "does not give other.safetensors of group/lungs (404)" in told["absent"]
    assert "group/hearts is not in the cache and the hub cannot be reached" in told["offline"]
    assert "openai:RN50 are not there" in told["weights"]
    assert told["push"].endswith(f"group/lungs/commit/{COMMIT}")
    assert "the hub cannot be reached" in told["unpushed"]
