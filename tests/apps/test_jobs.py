"""Jobs at a real server: submitted, polled, fetched, removed, and going on after a kill."""

import io
import json
import signal
import time
import zipfile

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from causalseg.apps import jobs
from causalseg.apps.jobs import Store
from causalseg.apps.worker import Interruptible
from causalseg.cli.main import main
from causalseg.inference.segmenter import Segmenter
from causalseg.models.trust import Trust

TEXT = "upper left lung"
HEADERS = {"Authorization": "Bearer s3cret"}


def submit(url, images, text=TEXT, headers=HEADERS):
    files = [("image", (name, content)) for name, content in images]
    data = {"text": text}
    return httpx.post(f"{url}/jobs", files=files, data=data, timeout=60, headers=headers)


def get(url):
    return httpx.get(url, headers=HEADERS, timeout=60)


def delete(url):
    return httpx.delete(url, headers=HEADERS)


def wait_for(url, job, condition):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        state = get(f"{url}/jobs/{job}").raise_for_status().json()
        if condition(state):
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def fetch(url, job):
    answer = get(f"{url}/jobs/{job}/results").raise_for_status()
    assert answer.headers["content-type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.content))


def done(state):
    return state["state"] == "done"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs") / "jobs"


@pytest.fixture(scope="module")
def url(run_command, tiny_checkpoint, folder):
    """Of a server that asks for a token."""
    options = ("--model", str(tiny_checkpoint), "--jobs", str(folder), "--port", "0")
    process, address = run_command("serve", *options, CAUSALSEG_TOKEN="s3cret")
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_folder_and_a_study_are_answered_as_predict_does_and_what_is_bad_is_told(
    url, folder, png, pixels, make_dicom, to_png, tiny_checkpoint
):
    other = to_png(pixels[::-1])
    sent = [
        ("Doe/a.png", png),
        ("b.png", other),
        ("notes.txt", b"no image"),
        ("half.png", png[: len(png) // 2]),
        ("x.dcm", make_dicom(pixels)),
    ]
    answer = submit(url, sent)
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    assert answer.headers["location"] == f"/jobs/{job}"
    state = wait_for(url, job, done)
    assert (state["images"], state["finished"], state["failed"]) == (5, 5, 2)
    by_name = {one["images"][0]: one for one in state["results"]}
    assert set(by_name) == {name for name, _ in sent}
    assert "none of PNG" in by_name["notes.txt"]["reason"]
    assert by_name["half.png"]["status"] == "failed"
    archive = fetch(url, job)
    expected = Segmenter.load(tiny_checkpoint)
    for name, image in (("Doe/a.png", pixels), ("b.png", pixels[::-1])):
        record = by_name[name]
        assert record["status"] == "done"
        result = json.loads(archive.read(f"{record['folder']}/result.json"))
        assert result["image"] == name
        masks = [
            m for m in archive.namelist() if m.startswith(f"{record['folder']}/") and "mask" in m
        ]
        found = np.asarray(Image.open(io.BytesIO(archive.read(masks[0]))))
        assert np.array_equal(found > 0, expected(np.ascontiguousarray(image), TEXT).mask > 0)
    assert f"{by_name['x.dcm']['folder']}/segmentation.dcm" in archive.namelist()
    everything = (
        b"".join(archive.read(name) for name in archive.namelist()) + json.dumps(state).encode()
    )
    assert str(folder).encode() not in everything
    assert oct(folder.stat().st_mode)[-3:] == "700"

    assert delete(f"{url}/jobs/{job}").status_code == 204
    assert get(f"{url}/jobs/{job}").status_code == 404
    assert not list(folder.glob("[!.]*"))


def test_the_token_is_asked_for_and_other_bad_requests_are_refused(url, png):
    assert submit(url, [("a.png", png)], headers={}).status_code == 401
    job = submit(url, [("a.png", png)]).json()["id"]
    for path in (f"/jobs/{job}", f"/jobs/{job}/results"):
        assert httpx.get(url + path).status_code == 401
        assert httpx.delete(f"{url}/jobs/{job}").status_code == 401
    wait_for(url, job, done)
    for path, status in (
        ("/jobs/" + "0" * 32, 404),
        ("/jobs/..%2f..%2fetc", 404),
        ("/jobs/x", 422),
        (f"/jobs/{job}/results/report.json", 404),
    ):
        answer = get(url + path)
        assert answer.status_code == status, path
        assert isinstance(answer.json()["detail"], str)
    assert submit(url, []).status_code == 422
    assert submit(url, [("a.png", png)], text="").status_code == 422
    operations = httpx.get(f"{url}/openapi.json").json()["paths"]
    assert operations["/jobs/{job_id}"]["get"]["security"] == [{"bearer": []}]
    assert delete(f"{url}/jobs/{job}").status_code == 204


def test_a_job_that_is_removed_is_worked_on_no_more_and_the_next_one_is(
    url, folder, pixels, to_png, png
):
    images = [(f"{n}.png", to_png(np.roll(pixels, n, axis=1))) for n in range(200)]
    long = submit(url, images).json()["id"]
    wait_for(url, long, lambda state: state["state"] == "working")
    second = submit(url, [("a.png", png)]).json()
    assert second["state"] == "waiting"
    assert get(f"{url}/jobs/{second['id']}/results").status_code == 409
    assert delete(f"{url}/jobs/{long}").status_code == 204
    wait_for(url, second["id"], done)
    assert [path.name for path in folder.glob("[!.]*")] == [second["id"]]


def test_the_number_of_jobs_is_bounded_and_old_ones_are_removed(
    segmenter, png, tmp_path, monkeypatch
):
    from fastapi.testclient import TestClient

    from causalseg.apps.server import create_app

    monkeypatch.setattr("causalseg.apps.service.MOST_JOBS", 2)
    files = [("image", ("a.png", png))]
    with TestClient(create_app(segmenter, jobs=Store(tmp_path))) as client:
        sent = [client.post("/jobs", files=files, data={"text": TEXT}) for _ in range(3)]
        assert [answer.status_code for answer in sent] == [202, 202, 429]
        for answer in sent[:2]:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                if client.get(f"/jobs/{answer.json()['id']}").json()["state"] == "done":
                    break
                time.sleep(0.05)
        monkeypatch.setattr(jobs, "KEPT_S", -1.0)
        client.app.state.service.jobs.notify()
        end = time.monotonic() + 30
        while list(tmp_path.glob("[!.]*")) and time.monotonic() < end:
            time.sleep(0.05)
        assert not list(tmp_path.glob("[!.]*"))


def test_a_job_is_told_what_a_request_is_told(segmenter):
    trust = Trust(place=object())
    model, preprocessing = segmenter.model, segmenter.preprocessing
    trusted = Segmenter(model, preprocessing, 0.5, provenance={"a": 1}, trust=trust)
    own = Interruptible.like(trusted)
    for name in ("model", "preprocessing", "threshold", "device", "provenance", "trust"):
        assert getattr(own, name) == getattr(trusted, name), name


def test_two_servers_do_not_share_a_folder(tmp_path, capsys, tiny_checkpoint):
    held = Store(tmp_path / "jobs")
    assert main(["serve", "--model", str(tiny_checkpoint), "--jobs", str(held.folder)]) == 2
    assert "is used by another server" in capsys.readouterr().err
