"""A study from a real Orthanc by DICOMweb, and the SEG back to it."""

import io
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest

pytest.importorskip("dicomweb_client")
highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")

from pydicom.uid import generate_uid  # noqa: E402

from causalseg.apps.dicomweb import TOKEN, Origin, fetch_study, store  # noqa: E402
from causalseg.errors import InputError  # noqa: E402


def test_a_study_in_and_its_segmentations_out(
    orthanc, make_dicom, radiograph, predict, tmp_path, capsys, secret
):
    study = generate_uid()
    paths = [make_dicom(radiograph + shift, StudyInstanceUID=study) for shift in (0, 100)]
    other = make_dicom(radiograph)
    for path in [*paths, other]:
        orthanc.upload(path)
    words = ("--dicomweb", orthanc.web, "--study", study, "--text", "lower left lung")
    assert predict(*words, "--store") == 0
    assert "2 DICOM SEG stored" in capsys.readouterr().out
    segs = [pydicom.dcmread(io.BytesIO(content)) for content in orthanc.segmentations()]
    wanted = {str(pydicom.dcmread(path).SOPInstanceUID) for path in paths}
    referred = {
        str(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID)
        for seg in segs
    }
    assert referred == wanted
    for seg in segs:
        assert seg.StudyInstanceUID == study
        opened = highdicom.seg.Segmentation.from_dataset(seg)
        told = str(opened.SegmentSequence[0].SegmentDescription)
        assert told.startswith("lower left lung | ")

    # The study now holds the segmentations too, which are not images; names are the same.
    names = sorted(path.name for path in (tmp_path / "out").glob("scan-*"))
    assert predict(*words, "--overwrite") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("scan-*")) == names

    series = str(pydicom.dcmread(paths[0]).SeriesInstanceUID)
    assert predict(*words, "--series", series, out="one") == 0
    assert len(list((tmp_path / "one").glob("scan-*"))) == 1
    said = "".join(capsys.readouterr())
    assert secret not in said
    assert study not in said


def test_what_the_server_lacks_is_one_sentence(orthanc, predict, capsys):
    for words, said in (
        (("--dicomweb", orthanc.web, "--study", "1.2.3"), "no images of this study"),
        (("--dicomweb", f"{orthanc.web}x", "--study", "1.2.3"), "404"),
        (("--dicomweb", "http://127.0.0.1:9", "--study", "1.2.3"), "cannot be reached"),
    ):
        assert predict(*words, "--text", "x") == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
        assert "1.2.3" not in error


@pytest.mark.parametrize(
    "words",
    [
        ("--study", "1.2"),
        ("--dicomweb", "http://localhost"),
        ("--dicomweb", "localhost", "--study", "1.2", "--text", "x"),
        ("--dicomweb", "http://localhost", "--study", "1.2", "--resume"),
        ("--dicomweb", "http://localhost", "--study", "1.2", "--store", "--format", "png"),
        ("--dicomweb", "http://localhost", "--study", "1.2", "image.png"),
    ],
)
def test_options_that_do_not_go_together(predict, capsys, words):
    assert predict(*words) == 2
    assert "--" in capsys.readouterr().err


def test_the_token_goes_to_the_server_and_never_in_the_clear(tmp_path, monkeypatch):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers["Authorization"])
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(TOKEN, "abc")
    try:
        with pytest.raises(InputError, match=f"401 .*{TOKEN}"):
            fetch_study(Origin.of(f"http://127.0.0.1:{server.server_port}"), "1.2", None, tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert set(seen) == {"Bearer abc"}
    with pytest.raises(InputError, match="https"):
        Origin.of("http://pacs.example.org/dicom-web")


def test_a_study_of_slices_is_one_image(orthanc, make_dicom, predict, tmp_path):
    volume = np.random.default_rng(0).integers(0, 2000, (3, 16, 16)).astype(np.int16)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number, values in enumerate(volume):
        orthanc.upload(
            make_dicom(
                values,
                StudyInstanceUID=study,
                SeriesInstanceUID=series,
                FrameOfReferenceUID=frame,
                PositionReferenceIndicator="",
                SOPClassUID=pydicom.uid.CTImageStorage,
                Modality="CT",
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[0, 0, 2.0 * number],
            )
        )
    words = ("--dicomweb", orthanc.web, "--study", study, "--text", "x", "--store")
    assert predict(*words) == 0
    (content,) = orthanc.segmentations()
    assert int(pydicom.dcmread(io.BytesIO(content)).NumberOfFrames) == 3


def test_a_busy_server_is_asked_again_and_a_dead_one_named(make_dicom, radiograph, tmp_path):
    answers = [503, 200, 503, 503, 503]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answers.pop(0))
            self.send_header("Content-Type", "application/dicom+json")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    origin = Origin(f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(InputError, match="no images of this study"):
            fetch_study(origin, "1.2", None, tmp_path)
        with pytest.raises(InputError, match="too busy"):
            fetch_study(origin, "1.2", None, tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert answers == []
    with pytest.raises(InputError, match="cannot be reached to store"):
        store(origin, [make_dicom(radiograph)])
