"""DICOM files made in the test: no patient ever had them, but they name one, to catch leaks."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalseg.cli.main import main
from causalseg.inference.segmenter import Segmenter

SECRET = "Zzyzx"


def dicom_dataset(pixels: np.ndarray, **attributes: Any) -> Any:
    """A computed radiograph with these stored values, (H, W), (n, H, W) or (H, W, 3)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, name, generate_uid())
    dataset.PatientName = f"{SECRET}^Patient"
    dataset.PatientID = f"{SECRET}-0815"
    dataset.StudyDescription = f"{SECRET} study"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.AccessionNumber, dataset.StudyID = f"{SECRET[:4]}1", "1"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.ReferringPhysicianName = f"{SECRET}^Doctor"
    dataset.Modality, dataset.BodyPartExamined = "CR", "CHEST"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.PatientOrientation = ["L", "F"]
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.Rows, dataset.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    if pixels.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(pixels)
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


@pytest.fixture
def make_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write a DICOM file; attributes given by keyword, None removes one; `syntax` compresses."""
    pytest.importorskip("pydicom")
    count = 0

    def make(pixels: np.ndarray, *, syntax: str | None = None, **attributes: Any) -> Path:
        nonlocal count
        count += 1
        dataset = dicom_dataset(pixels, **attributes)
        if syntax:
            dataset.compress(syntax)
        path = tmp_path / f"{SECRET}_{count}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture
def secret() -> str:
    """The name that no output but a DICOM SEG's patient module may hold."""
    return SECRET


@pytest.fixture
def radiograph() -> np.ndarray:
    """12 bit values in uint16, (40, 56), smooth enough for a lossy codec."""
    rows, columns = np.mgrid[:40, :56]
    return (2000 + 1500 * np.sin(rows / 9) * np.cos(columns / 7)).astype(np.uint16)


@pytest.fixture(scope="session")
def segmenter(tiny_checkpoint: Path) -> Segmenter:
    """The tiny model, loaded once."""
    return Segmenter.load(tiny_checkpoint)


@pytest.fixture
def predict(tiny_checkpoint: Path, tmp_path: Path) -> Callable[..., int]:
    """Run `causalseg predict` in this process; returns its exit code."""

    def run(*arguments: object, out: str = "out") -> int:
        words = [*arguments, "--model", tiny_checkpoint, "--out", tmp_path / out]
        return main(["predict", *map(str, words)])

    return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Orthanc:
    """A real PACS on the loopback."""

    folder: Path
    http: int
    dicom: int
    node: int
    """Port on which it knows a DICOM node by the name of CAUSALSEG."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def start(self) -> None:
        program = shutil.which("Orthanc") or "Orthanc"
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [program, self.folder / "orthanc.json"], stdout=log, stderr=log
        )
        for _ in range(200):
            try:
                self.ask("/system")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise RuntimeError("Orthanc does not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, path: str, data: bytes | None = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def empty(self) -> None:
        for name in self.ask("/patients"):
            address = f"http://127.0.0.1:{self.http}/patients/{name}"
            urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=20)

    def upload(self, path: Path) -> str:
        return str(self.ask("/instances", path.read_bytes())["ID"])

    def segmentations(self) -> list[bytes]:
        found = []
        for name in self.ask("/instances"):
            tags = self.ask(f"/instances/{name}/simplified-tags")
            if tags["Modality"] == "SEG":
                url = f"http://127.0.0.1:{self.http}/instances/{name}/file"
                with urllib.request.urlopen(url, timeout=20) as answer:
                    found.append(answer.read())
        return found


@pytest.fixture
def orthanc(running_orthanc: Orthanc) -> Iterator[Orthanc]:
    """Orthanc with its DICOMweb plug-in, running and empty."""
    yield running_orthanc
    if running_orthanc.process is None:
        running_orthanc.start()
    running_orthanc.empty()


@pytest.fixture(scope="session")
def running_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Started once for all tests, for it takes seconds."""
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if shutil.which("Orthanc") is None or not plugin.exists():
        pytest.skip("Orthanc is absent: install the packages orthanc and orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    server = Orthanc(folder, free_port(), free_port(), free_port())
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": server.http,
        "DicomPort": server.dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Host": "127.0.0.1"},
        "DicomModalities": {"causalseg": ["CAUSALSEG", "127.0.0.1", server.node]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    server.start()
    yield server
    server.stop()
