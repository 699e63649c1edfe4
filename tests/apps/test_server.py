"""The server in this process: right answers, and every wrong request turned away."""

import asyncio
import gzip
import hashlib
import io
import json
import struct
import sys
import threading
import zipfile
import zlib
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from causalseg.apps import hosts, rle
from causalseg.apps.answers import Identity
from causalseg.apps.audit import Audit
from causalseg.apps.limits import Limits
from causalseg.apps.server import create_app
from causalseg.inference.segmenter import Segmenter

TEXT = "upper left lung"


@pytest.fixture(scope="module")
def client(segmenter):
    with TestClient(create_app(segmenter, Limits(max_bytes=2**20, max_pixels=10**6))) as found:
        yield found


def ask(client, content, text=TEXT, name="x.png", **fields):
    return client.post("/segment", files={"image": (name, content)}, data={"text": text, **fields})


def test_json_and_png_hold_the_mask_that_the_segmenter_makes(client, segmenter, pixels, png):
    expected = segmenter(pixels, TEXT).mask
    assert 0 < expected.sum() < expected.size
    found = ask(client, png).json()
    assert np.array_equal(rle.decode(found["mask"]), expected)
    assert (found["height"], found["width"]) == expected.shape
    assert found["pixels"] == expected.sum()
    assert found["area_mm2"] is None
    answer = ask(client, png, output="png")
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), expected * 255)


def test_a_threshold_of_the_request_moves_the_line(client, segmenter, pixels, png):
    probability = segmenter(pixels, TEXT).probability
    line = float(np.quantile(probability, 0.9))
    found = ask(client, png, threshold=str(line)).json()
    assert np.array_equal(rle.decode(found["mask"]), probability >= line)
    assert ask(client, png, threshold="0").json()["pixels"] == probability.size


def test_dicom_comes_back_in_its_own_geometry_with_its_area(client, segmenter, pixels, make_dicom):
    stored = np.ascontiguousarray(pixels[:, ::-1])
    content = make_dicom(stored, PatientOrientation=["R", "F"])
    found = ask(client, content, name="x").json()
    mask = rle.decode(found["mask"])
    assert np.array_equal(mask, segmenter(pixels, TEXT).mask[:, ::-1])
    assert found["area_mm2"] == pytest.approx(mask.sum() * 0.5 * 0.25)
    assert any("mirrored" in warning for warning in found["warnings"])
    said = json.dumps(found)
    assert "Doe" not in said
    assert "SECRET" not in said
    header = ask(client, content, output="png").headers["x-causalseg-warnings"]
    assert json.loads(header) == found["warnings"]


def test_several_texts_give_a_mask_each_in_order(client, segmenter, pixels, png):
    texts = [TEXT, "lower right lung", "upper left lung and lower right lung"]
    found = client.post("/segment", files={"image": ("x", png)}, data={"text": texts}).json()
    answers = [found, *found["others"]]
    assert [one["text"] for one in answers] == texts
    for one, text in zip(answers, texts, strict=True):
        expected = segmenter(pixels, text).mask
        assert (rle.decode(one["mask"]) == expected).mean() > 0.999  # They run as one batch.
    both = {"text": texts, "output": "png"}
    assert client.post("/segment", files={"image": ("x", png)}, data=both).status_code == 422


def test_probabilities_come_as_16_bit(client, segmenter, pixels, png):
    answer = ask(client, png, output="probability")
    values = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.abs(values / 65535 - segmenter(pixels, TEXT).probability).max() < 1e-4
    assert float(answer.headers["x-causalseg-threshold"]) == segmenter.threshold


def test_dicom_in_gives_dicom_seg_out(client, segmenter, pixels, make_dicom, tmp_path):
    from causalseg.inference.formats.seg import read_seg

    stored = np.ascontiguousarray(pixels[:, ::-1])
    content = make_dicom(stored, PatientOrientation=["R", "F"])
    answer = ask(client, content, output="seg")
    assert answer.headers["content-type"] == "application/dicom"
    (tmp_path / "seg.dcm").write_bytes(answer.content)
    expected = segmenter(pixels, TEXT).mask[:, ::-1]
    assert np.array_equal(read_seg(tmp_path / "seg.dcm")[0, ..., 0], expected)


def test_a_picture_has_no_dicom_seg(client, png):
    answer = ask(client, png, output="seg")
    assert answer.status_code == 422
    assert "needs a DICOM image" in answer.json()["detail"]


def test_a_body_that_finds_no_place_is_not_read(segmenter):
    app = create_app(segmenter, Limits(most=1, timeout_s=20))
    sent, taken = [], []

    async def first_never_arrives():
        await asyncio.Event().wait()

    async def read():
        taken.append(1)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def keep(message):
        sent.append(message)

    async def run():
        scope = {"type": "http", "method": "POST", "path": "/segment", "query_string": b"",
                 "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}  # fmt: skip
        slow = asyncio.create_task(app({**scope}, first_never_arrives, keep))
        await asyncio.sleep(0.2)
        await app({**scope}, read, keep)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        return app.state.service.admission.in_work

    assert asyncio.run(run()) == 0
    app.state.service.close()
    assert sent[0]["status"] == 429
    assert not taken


def test_the_audit_has_a_line_a_request_and_nothing_of_the_patient(
    segmenter, make_dicom, pixels, tmp_path
):
    path = tmp_path / "audit.jsonl"
    with TestClient(create_app(segmenter, audit=Audit(path, "f" * 64))) as client:
        answer = ask(client, make_dicom(pixels), text="Doe Jane, left lung")
        assert ask(client, b"no image").status_code == 422
        client.get("/health")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    body = answer.request.read()
    assert first["request_sha256"] == hashlib.sha256(body).hexdigest()
    assert (first["status"], second["status"]) == (200, 422)
    assert first["model_sha256"] == "f" * 64
    assert set(first) == {"time", "request_sha256", "model_sha256", "status"}
    assert oct(path.stat().st_mode)[-3:] == "600"


def test_two_images_are_refused(client, png):
    files = [("image", ("a.png", png)), ("image", ("b.png", png))]
    answer = client.post("/segment", files=files, data={"text": TEXT})
    assert answer.status_code == 422
    assert "takes one image" in answer.json()["detail"]


def test_load_balancers_may_ask_by_head(client):
    for path in ("/health", "/ready"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_every_answer_names_its_model(segmenter, tiny_checkpoint, png):
    model = Identity.of(tiny_checkpoint, flip=True)
    assert model.sha256 == hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest()
    both = Segmenter.load(tiny_checkpoint, flip=True)
    with TestClient(create_app(segmenter)) as client:
        alone = ask(client, png).json()
    with TestClient(create_app(both, model=model)) as client:
        found = ask(client, png).json()
        assert found["highest_probability"] != alone["highest_probability"]
        assert found["model"] == {
            "name": "tiny.safetensors",
            "sha256": model.sha256,
            "flip": True,
        }
        assert ask(client, png, output="png").headers["x-causalseg-model"] == model.sha256


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:8080"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "Seg.example:443", "Origin": "https://seg.example"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8080"}, 403),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
    ],
)
def test_other_names_and_other_pages_are_refused(segmenter, headers, status):
    names = hosts.allowed("127.0.0.1", ["seg.example"])
    with TestClient(create_app(segmenter, names=names)) as client:
        assert client.get("/health", headers=headers).status_code == status


def test_words_that_do_not_fit_the_model_are_reported(client, png):
    found = ask(client, png, text="left lung " * 20)
    assert any("cut off" in warning for warning in found.json()["warnings"])


def test_requests_that_arrive_together_share_batches_and_get_their_own_answers(segmenter, to_png):
    images = [np.roll(np.eye(64, dtype=np.uint8) * 255, 5 * n, axis=0) for n in range(8)]
    texts = [f"{side} {zone} lung" for side in ("left", "right") for zone in "abcd"]
    app = create_app(segmenter, Limits(wait_ms=500))

    async def all_at_once():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(
                *(ask(client, to_png(i), t) for i, t in zip(images, texts, strict=True))
            )

    answers = asyncio.run(all_at_once())
    for answer, image, text in zip(answers, images, texts, strict=True):
        alone = segmenter(image, text)
        mask = rle.decode(answer.json()["mask"])
        # A batch sums in another order: only pixels at the very threshold may differ.
        unsure = np.abs(alone.probability - segmenter.threshold) < 1e-5
        assert ((mask == alone.mask) | unsure).all()
    value = app.state.service.metrics.registry.get_sample_value
    assert value("causalseg_batch_size_sum") == 8
    assert value("causalseg_batch_size_count") < 8
    app.state.service.close()


def huge_png(width, height):
    """A PNG of a few kB whose pixels would be `width * height`; the checksums are right."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (1 + (width + 7) // 8)) if width < 2**15 else b"", 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def zip_bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", bytes(10**7))
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="TIFF", **options)
    return buffer.getvalue()


def bad_uploads(png, make_dicom):
    small, nan = np.zeros((16, 16), np.uint8), np.full((16, 16), np.nan, np.float32)
    pages = [Image.fromarray(small), Image.fromarray(small)]
    return {
        "empty": (b"", 422),
        "truncated": (png[: len(png) // 2], 422),
        "text": (b"hello", 422),
        "html": (b"<svg onload=alert(1)>", 422),
        "zip bomb": (zip_bomb(), 422),
        "gzip bomb": (gzip.compress(bytes(10**7)), 422),
        "decompression bomb": (huge_png(20000, 20000), 413),
        "header bomb": (huge_png(2**31 - 1, 2**31 - 1), 413),
        "over the limit": (huge_png(2000, 1000), 413),
        "no area": (huge_png(0, 0), 422),
        "one pixel": (huge_png(1, 1), 422),
        "NaN": (tiff(nan), 422),
        "pages": (tiff(small, save_all=True, append_images=pages[1:]), 422),
        "DICOM bomb": (make_dicom(small, Rows=60000, Columns=60000), 413),
        "DICOM frames": (make_dicom(small, NumberOfFrames=10**9), 422),
        "DICOM cut": (make_dicom(small)[:-100], 422),
        "DICOM no size": (make_dicom(small, Rows=0), 422),
        "DICOM head": (b"\0" * 128 + b"DICM", 422),
        "DICOM noise": (b"\0" * 128 + b"DICM" + bytes(range(256)) * 20, 422),
    }


def test_bad_images_are_refused_in_one_sentence_and_the_server_goes_on(client, png, make_dicom):
    for name, (content, status) in bad_uploads(png, make_dicom).items():
        answer = ask(client, content)
        assert answer.status_code == status, (name, answer.text)
        sentence = answer.json()["detail"]
        assert sentence.endswith("."), name
        assert "/tmp" not in sentence, name
    assert ask(client, png).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"text": ""},
        {"text": "   "},
        {"text": "a\0b"},
        {"text": "x" * 1001},
        {"threshold": "nan"},
        {"threshold": "2"},
        {"threshold": "[" * 5000},
        {"output": "../../etc/passwd"},
    ],
)
def test_bad_fields_are_refused_in_one_sentence(client, png, fields):
    answer = ask(client, png, **fields)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_a_body_that_is_no_form_is_refused(client):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/segment", content=b"--y\r\n\r\n", headers=headers).status_code in (
        400,
        422,
    )
    assert client.post("/segment", content=b"[" * 10**5).status_code == 422
    assert client.post("/segment", json={"image": "a", "text": "b"}).status_code == 422


_opened: list[str] = []
_listening = False


def _listen(event, arguments):
    if _listening and event == "open":
        _opened.append(str(arguments[0]))


@contextmanager
def opened_files():
    global _listening
    if _listen not in getattr(opened_files, "hooks", []):
        sys.addaudithook(_listen)
        opened_files.hooks = [_listen]
    _opened.clear()
    _listening = True
    try:
        yield _opened
    finally:
        _listening = False


@pytest.mark.parametrize("name", ["../../{}", "{}", "a\\0{}", "a%0A{}", "a\t;{}", "x" * 500 + "{}"])
def test_no_name_of_a_request_is_ever_opened(client, png, tmp_path, name):
    secret = tmp_path / "secret-7.png"
    secret.write_bytes(png)
    named = name.format(secret)
    with opened_files() as opened:
        assert ask(client, png, name=named).status_code == 200
        assert ask(client, b"no image", name=named).status_code == 422
        # A path where the file should be is no file.
        fields = {"image": str(secret), "text": TEXT}
        assert client.post("/segment", data=fields).status_code == 422
        assert ask(client, png, text=str(secret)).status_code == 422
    assert opened, "the watch does not work"
    assert not [path for path in opened if "secret-7" in path]


def test_a_body_over_the_limit_is_refused_whether_announced_or_not(client, png):
    assert ask(client, bytes(2**20 + 1)).status_code == 413

    def stream():
        yield b'--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield bytes(2**15)
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/segment", content=stream(), headers=headers)
    assert answer.status_code == 413
    assert "more than 1048576 bytes" in answer.json()["detail"]
    assert ask(client, png).status_code == 200


def test_a_body_that_never_ends_is_given_up(segmenter):
    app = create_app(segmenter, Limits(timeout_s=0.05))
    sent = []

    async def slowly():
        first = [{"type": "http.request", "body": b"--x\r\n", "more_body": True}]

        async def receive():
            if first:
                return first.pop()
            return await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        scope = {"type": "http", "method": "POST", "path": "/segment", "raw_path": b"/segment",
                 "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
                 "server": ("test", 80), "client": ("test", 1), "root_path": ""}  # fmt: skip
        await app(scope, receive, send)

    asyncio.run(slowly())
    assert sent[0]["status"] == 408
    app.state.service.close()


class Held(Segmenter):
    """The real thing, but only when it is let go."""

    go: threading.Event
    busy: threading.Event

    def batch(self, images, texts):
        self.busy.set()
        self.go.wait(10)
        return super().batch(images, texts)


@pytest.fixture
def held(segmenter, monkeypatch):
    monkeypatch.setattr("causalseg.inference.device._MOST_STREAMS", 1)
    found = Held(segmenter.model, segmenter.preprocessing, segmenter.threshold)
    found.go, found.busy = threading.Event(), threading.Event()
    return found


def test_beyond_the_queue_comes_429_and_nothing_admitted_is_lost(held, png):
    app = create_app(held, Limits(most=2, batch_size=1))

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            admitted = [asyncio.create_task(ask(client, png)) for _ in range(2)]
            while app.state.service.admission.in_work < 2:
                await asyncio.sleep(0.01)
            refused = await ask(client, png)
            alive = await client.get("/health")
            held.go.set()
            return refused, alive, await asyncio.gather(*admitted), await ask(client, png)

    refused, alive, admitted, later = asyncio.run(run())
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert alive.status_code == 200
    assert [answer.status_code for answer in [*admitted, later]] == [200, 200, 200]
    app.state.service.close()


def test_an_answer_that_takes_too_long_is_503_and_frees_its_place(held, png):
    app = create_app(held, Limits(most=1, timeout_s=0.5))
    with TestClient(app) as client:
        assert ask(client, png).status_code == 503
        assert app.state.service.admission.in_work == 0
        held.go.set()
    assert not app.state.service.batcher.alive


def test_ready_turns_503_when_the_model_takes_nothing(segmenter, png):
    app = create_app(segmenter)
    client = TestClient(app)
    assert client.get("/ready").json() == {"status": "ready"}
    app.state.service.close()
    assert client.get("/ready").status_code == 503
    assert ask(client, png).status_code == 503
    assert client.get("/health").status_code == 200


def test_the_token_opens_and_nothing_else_does(segmenter, png):
    app = create_app(segmenter, token="s3cret-ü")
    with TestClient(app) as client:
        for given in (None, "Bearer", "Bearer wrong", "Basic s3cret", "Bearer s3cret", "s3cret"):
            client.headers = {"authorization": given} if given else {}
            answer = ask(client, png)
            assert answer.status_code == 401, given
            assert answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics").status_code == 401
            assert client.get("/health").status_code == 200
        client.headers = {"authorization": "bearer s3cret-ü".encode()}
        assert ask(client, png).status_code == 200
        assert client.get("/metrics").status_code == 200
    assert "401" in app.openapi()["paths"]["/segment"]["post"]["responses"]


def test_metrics_count_answers_and_hold_nothing_of_a_request(segmenter, png):
    with TestClient(create_app(segmenter)) as client:
        ask(client, png, text="whisper", name="doe.png")
        ask(client, b"bad", text="whisper")
        client.get("/no/such/page-7")
        said = client.get("/metrics").text
    assert 'causalseg_requests_total{path="/segment",status="200"} 1.0' in said
    assert 'causalseg_requests_total{path="/segment",status="422"} 1.0' in said
    assert 'causalseg_requests_total{path="other",status="404"} 1.0' in said
    assert "causalseg_requests_in_work 0.0" in said
    assert not [word for word in ("whisper", "doe", "page-7") if word in said]
