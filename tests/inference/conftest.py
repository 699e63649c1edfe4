"""DICOM files made in the test: no patient ever had them, but they name one, to catch leaks."""

from collections.abc import Callable
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
