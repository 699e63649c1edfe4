"""A tiny model, phantoms as uploads, and a server that really runs."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.data.phantom import draw_phantom


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    return draw_phantom(np.random.default_rng(1), size=96).image[:80]


@pytest.fixture(scope="session")
def segmenter(tiny_checkpoint: Path, pixels: np.ndarray):
    from causalseg.inference.segmenter import Segmenter

    found = Segmenter.load(tiny_checkpoint)
    # Random weights know no threshold of use: draw the line where about half is inside, in the
    # widest gap, because a batch sums in another order than a single image.
    values = np.sort(found(pixels, "upper left lung").probability, axis=None)
    middle = values[len(values) * 2 // 5 : len(values) * 3 // 5].astype(float)
    widest = int(np.argmax(np.diff(middle)))
    found.threshold = float(middle[widest] + middle[widest + 1]) / 2
    return found


def png_of(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def png(pixels) -> bytes:
    return png_of(pixels)


@pytest.fixture(scope="session")
def run_command() -> Iterator[Callable[..., tuple[subprocess.Popen, str]]]:
    """Start `causalseg ARGUMENTS`; returns the process and the address that it prints."""
    started: list[subprocess.Popen] = []

    def run(*arguments: str, **variables: str) -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "causalseg.cli.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        )
        started.append(process)
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://[^\s;]+", line):
                return process, found[0]
        raise AssertionError(f"it ended with {process.wait()}: {''.join(said)}")

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def to_png() -> Callable[[np.ndarray], bytes]:
    return png_of


@pytest.fixture(scope="session")
def make_dicom() -> Callable[..., bytes]:
    """DICOM file of 8 bit grey pixels, stored with columns to the patient's left."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    def make(array: np.ndarray, **header) -> bytes:
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset = pydicom.Dataset()
        dataset.file_meta = meta
        fields = {
            "SOPClassUID": meta.MediaStorageSOPClassUID,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "StudyInstanceUID": generate_uid(),
            "SeriesInstanceUID": generate_uid(),
            "PatientName": "Doe^Jane",
            "PatientID": "SECRET-7",
            "Modality": "DX",
            "BodyPartExamined": "CHEST",
            "PatientOrientation": ["L", "F"],
            "PixelSpacing": [0.5, 0.25],
            "Rows": array.shape[0],
            "Columns": array.shape[1],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 8,
            "BitsStored": 8,
            "HighBit": 7,
            "PixelRepresentation": 0,
            **header,
        }
        for name, value in fields.items():
            setattr(dataset, name, value)
        dataset.PixelData = np.ascontiguousarray(array).tobytes()
        dataset["PixelData"].VR = "OW"
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    return make
