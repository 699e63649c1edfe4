"""The DICOM node with a real Orthanc on both ends, killed and resumed."""

import io
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pynetdicom = pytest.importorskip("pynetdicom")
highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")

from pydicom.uid import DigitalXRayImageStorageForPresentation  # noqa: E402

from causalseg.apps.listen import Node, Queue, Rule  # noqa: E402
from causalseg.cli.main import main  # noqa: E402
from causalseg.errors import InputError  # noqa: E402


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


@pytest.fixture
def node(orthanc, tiny_checkpoint, tmp_path):
    """Starts the node as a process of its own; all are ended afterwards."""
    running = []

    def start(*words):
        log = tmp_path / f"node-{len(running)}.log"
        command = [sys.executable, "-m", "causalseg.cli.main", "listen", *map(str, words)]
        command += ["--model", tiny_checkpoint, "--queue", tmp_path / "queue"]
        command += ["--port", str(orthanc.node), "--store-to", f"ORTHANC@127.0.0.1:{orthanc.dicom}"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        running.append(process)
        until(lambda: b"listening" in log.read_bytes())
        return process, log

    yield start
    for process in running:
        process.kill()
        process.wait()


def c_store(path, port):
    entity = pynetdicom.AE()
    dataset = pydicom.dcmread(path)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", port)
    assert association.is_established
    echoed = association.send_c_echo().Status
    stored = association.send_c_store(dataset).Status
    association.release()
    return echoed, stored


def test_a_pacs_sends_an_image_and_gets_its_segmentation(
    orthanc, node, make_dicom, radiograph, secret, tmp_path
):
    process, log = node("--text", "the rule", "--text-from", "SeriesDescription")
    first = make_dicom(radiograph, SeriesDescription="lower left lung")
    names = [orthanc.upload(first)]
    names.append(orthanc.upload(make_dicom(radiograph, PatientOrientation=["R", "F"])))
    names.append(orthanc.upload(make_dicom(np.zeros((3, 8, 9), np.uint8))))  # a cine loop: failed
    for name in names:
        orthanc.ask("/modalities/causalseg/store", name.encode())
    until(lambda: len(orthanc.segmentations()) == 2)
    segs = [
        highdicom.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(content)))
        for content in orthanc.segmentations()
    ]
    told = [str(seg.SegmentSequence[0].SegmentDescription) for seg in segs]
    texts = sorted(one.split(" | ")[0] for one in told)
    assert texts == ["lower left lung", "the rule"]
    queue = tmp_path / "queue"
    until(lambda: not list((queue / "waiting").glob("*.dcm")))
    (reason,) = (queue / "failed").glob("*.txt")
    assert "frame of reference" in reason.read_text()
    assert not list((queue / "results").iterdir())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert secret not in log.read_text()
    assert secret not in " ".join(str(path) for path in queue.rglob("*"))


def test_nothing_is_lost_when_killed(orthanc, node, make_dicom, radiograph, tmp_path):
    """Killed while the destination is away, once with a result and once without."""
    orthanc.stop()
    process, _ = node("--text", "x")
    path = make_dicom(radiograph, SOPClassUID=DigitalXRayImageStorageForPresentation)
    assert c_store(path, orthanc.node) == (0, 0)
    results = tmp_path / "queue" / "results"
    made = until(lambda: list(results.glob("[!.]*/segmentation.dcm")))[0]
    uid = pydicom.dcmread(made).SOPInstanceUID
    assert c_store(make_dicom(radiograph + 1), orthanc.node) == (0, 0)
    process.kill()
    process.wait()
    assert len(list((tmp_path / "queue" / "waiting").glob("*.dcm"))) == 2

    orthanc.start()
    node("--text", "x")
    until(lambda: len(orthanc.segmentations()) == 2)
    uids = [pydicom.dcmread(io.BytesIO(c)).SOPInstanceUID for c in orthanc.segmentations()]
    assert uid in uids
    until(lambda: not list((tmp_path / "queue" / "waiting").glob("*.dcm")))


def test_the_queue_is_bounded_and_takes_one_image_once(tmp_path):
    queue = Queue(tmp_path / "queue", most=2)
    assert queue.put(b"a", "1.2")
    assert queue.put(b"a", "1.2")
    assert queue.put(b"b", "1.3")
    assert not queue.put(b"c", "1.4")
    first, second = queue.files()
    assert (first.read_bytes(), second.read_bytes()) == (b"a", b"b")
    queue.fail(first, "why")
    assert not queue.put(b"c", "1.4")
    (queue.failed / first.name).unlink()
    assert queue.put(b"c", "1.4")
    assert first.name.endswith(".dcm")
    assert "1.2" not in first.name


def test_rules_and_addresses():
    header = pydicom.Dataset()
    header.StudyDescription = " lower  left lung "
    assert Rule("x", "StudyDescription").prompt(header) == "lower left lung"
    assert Rule("x", "ImageComments").prompt(header) == "x"
    assert Rule("x").prompt(header) == "x"
    with pytest.raises(InputError, match="ImageComments"):
        Rule(None, "ImageComments").prompt(header)
    with pytest.raises(InputError, match="--text"):
        Rule()
    assert Node.parse("PACS@host:104") == Node("host", 104, "PACS")
    for text in ("PACS", "PACS@host", "@host:1", "PACS@host:x", f"{'A' * 17}@h:1"):
        with pytest.raises(InputError, match="--store-to"):
            Node.parse(text)


def test_bad_options_end_in_one_sentence(tiny_checkpoint, tmp_path, capsys):
    words = ["listen", "--queue", str(tmp_path / "q"), "--model", str(tiny_checkpoint)]
    for more in (
        ["--store-to", "A@h:1"],
        ["--store-to", "h:1", "--text", "x"],
        ["--store-to", "A@h:1", "--text", "x", "--port", "0"],
        ["--store-to", "A@h:1", "--text", " "],
        ["--store-to", "A@h:1", "--text", "x", "--host", "203.0.113.1"],
    ):
        assert main([*words, *more]) == 2
        assert capsys.readouterr().err.count("\n") == 1
