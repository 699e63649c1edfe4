"""Every reader of a file from outside, with whole files to start from."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from PIL import Image

TEXT = "Unilateral pulmonary infection, one infected area, lower left lung."


@dataclass(frozen=True)
class Reader:
    """What is driven, and from which files."""

    drive: Callable[[Path], object]
    seeds: Callable[[], dict[str, bytes]]
    """File name -> content; each is read without an error."""
    weight: float = 1.0
    """Share of the inputs: slow readers get fewer."""


def _pixels(size: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size), dtype=np.uint8)


def _mask(size: int = 24) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[4:9, 3:12] = 255
    return mask


def _saved(array: np.ndarray, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def _pictures() -> dict[str, bytes]:
    grey, wide = _pixels(), _pixels().astype(np.uint16) * 257
    colour = np.stack([grey, grey.T, grey[::-1]], -1)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "a.png": _saved(grey, "PNG"),
        "rgb.png": _saved(colour, "PNG"),
        "wide.png": _saved(wide, "PNG"),
        "palette.png": _saved(np.asarray(Image.fromarray(colour).quantize(8)), "PNG"),
        "a.jpg": _saved(colour, "JPEG", exif=exif),
        "a.tif": _saved(grey, "TIFF"),
        "lzw.tif": _saved(wide, "TIFF", compression="tiff_lzw"),
        "float.tif": _saved(grey.astype(np.float32), "TIFF", compression="tiff_adobe_deflate"),
        "a.bmp": _saved(colour, "BMP"),
    }


def _masks() -> dict[str, bytes]:
    mask = _mask()
    return {
        "m.png": _saved(mask, "PNG"),
        "m.tif": _saved(mask, "TIFF", compression="tiff_deflate"),
        "m.bmp": _saved(mask, "BMP"),
    }


def _binary() -> dict[str, bytes]:
    return _masks() | _arrays(u=_mask(), f=np.asfortranarray(_mask() > 0))


def _probabilities() -> dict[str, bytes]:
    return _masks() | _arrays(p=_pixels().astype(np.float32) / 255, u=_pixels())


def _arrays(**arrays: np.ndarray) -> dict[str, bytes]:
    found = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        found[f"{name}.npy"] = buffer.getvalue()
    return found


def _tables() -> dict[str, bytes]:
    import openpyxl

    rows = [["Image", "Description"]] + [[f"mask_{i}.png", TEXT] for i in range(6)]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.active["B3"] = '="a"&"b"'
    book.create_sheet("hidden").sheet_state = "hidden"
    buffer = io.BytesIO()
    book.save(buffer)
    lines = "\n".join(f'{name},"{text}"' for name, text in rows)
    return {
        "t.csv": lines.encode(),
        "semicolon.csv": lines.replace(",", ";").encode("utf-8-sig"),
        "wide.csv": lines.encode("utf-16"),
        "t.xlsx": _undated(buffer.getvalue()),
    }


def _undated(archive: bytes) -> bytes:
    """The same workbook without the time at which it was made."""
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(archive)) as source, ZipFile(buffer, "w", ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = re.sub(
                rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2026-01-01T00:00:00Z", source.read(name)
            )
            target.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    return buffer.getvalue()


def _prompts() -> dict[str, bytes]:
    found = {
        name: data.replace(b"Image", b"image").replace(b"Description", b"text")
        for name, data in _tables().items()
        if name.endswith(".csv") and "wide" not in name
    }
    rows = [{"image": "v.nii", "text": TEXT, "slice": i} for i in range(4)]
    return found | {"p.jsonl": "\n".join(map(json.dumps, rows)).encode()}


def _run() -> dict[str, bytes]:
    return {
        "metrics.json": json.dumps(
            {"version": "0.1.0", "data": {"root": "x", "fingerprint": "ab", "left_out": []}}
        ).encode(),
        "per_image.csv": b"name,subject,dice\na.png,S1,0.5\nb.png,,1.0\n",
    }


def _read_run(path: Path) -> object:
    from causalseg.evaluation.comparison import read_run

    folder = path.parent / "run"
    folder.mkdir(exist_ok=True)
    for name, content in _run().items():
        (folder / name).write_bytes(path.read_bytes() if path.name == name else content)
    return read_run(folder, ["dice"])


def _dictionary() -> dict[str, bytes]:
    from causalseg.models.mcdrl.dictionary import DICTIONARY_FORMAT

    rng = np.random.default_rng(0)
    vectors = {f"prompt {i}": rng.normal(size=128).round(3).tolist() for i in range(3)}
    content = {"format": DICTIONARY_FORMAT, "encoder": "tiny", "weights": "random"}
    content |= {"text_encoder_sha256": "0" * 64, "embedding": 128, "vectors": vectors}
    return {"z.json": json.dumps(content).encode()}


def _yaml() -> dict[str, bytes]:
    return {"p.yaml": (files("causalseg") / "assets" / "prompts" / "endoscopy.yaml").read_bytes()}


def _configs() -> dict[str, bytes]:
    folder = Path(__file__).parents[2] / "src/causalseg/configs"
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.yaml"))[:3]}


def _checkpoints() -> dict[str, bytes]:
    import tempfile

    import torch

    from causalseg import build_model
    from causalseg.data.preprocessing import Preprocessing
    from causalseg.models.checkpoint import save_checkpoint

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        model = build_model("causalclipseg", encoder="tiny", head_channels=(8, 8, 8))
        settings = Preprocessing(size=64).to_dict()
        save_checkpoint(
            path, model, preprocessing=settings, threshold=0.5, provenance={"a": 1}, half=True
        )
        return {"m.safetensors": path.read_bytes()}


def _graphs() -> dict[str, bytes]:
    """A graph with the inputs and the metadata of an export: the mean over channels, plus 0 * L."""
    import onnx
    from onnx import TensorProto, helper

    from causalseg.data.preprocessing import Preprocessing
    from causalseg.inference.backends import EXPORT_FORMAT, KEY

    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=1),
        helper.make_node("Cast", ["tokens"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["cast"], ["one"], keepdims=0),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, ["B", 3, 32, 32]),
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["B", 20]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 1, 32, 32])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    header = {
        "format": EXPORT_FORMAT,
        "architecture": "causalclipseg",
        "threshold": 0.5,
        "provenance": {},
    }
    header["preprocessing"] = Preprocessing(size=32).to_dict()
    helper.set_model_props(model, {KEY: json.dumps(header)})
    onnx.checker.check_model(model)
    return {"m.onnx": model.SerializeToString()}


def _segment(path: Path) -> object:
    from causalseg.inference.segmenter import Segmenter

    return Segmenter.load(path)(_pixels(40), "lower left lung")


def _dicom() -> dict[str, bytes]:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    uid = "1.2.3.4"

    def made(pixels: np.ndarray, **attributes: Any) -> bytes:
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
        data.Modality, data.PatientOrientation = "DX", ["L", "F"]
        data.Rows, data.Columns = pixels.shape[-2:]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
        data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
        data.WindowCenter, data.WindowWidth = 128, 200
        for name, value in attributes.items():
            setattr(data, name, value)
        data.PixelData = pixels.tobytes()
        data["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
        buffer = io.BytesIO()
        data.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    from pydicom import dcmread
    from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

    found = {
        "a.dcm": made(_pixels(64)),
        "wide.dcm": made(_pixels().astype(np.uint16) * 16, RescaleSlope=2, RescaleIntercept=-100),
        "frames.dcm": made(np.stack([_pixels()] * 3), NumberOfFrames=3),
    }
    for name, syntax in (
        ("rle.dcm", RLELossless),
        ("j2k.dcm", JPEG2000Lossless),
        ("jls.dcm", JPEGLSLossless),
    ):
        data = dcmread(io.BytesIO(found["a.dcm"]))
        data.compress(syntax, generate_instance_uid=False)
        buffer = io.BytesIO()
        data.save_as(buffer)
        found[name] = buffer.getvalue()
    return found


def _nifti() -> dict[str, bytes]:
    import gzip

    import nibabel as nib

    volume = nib.Nifti1Image(_pixels(10)[..., None].repeat(6, 2).astype(np.int16), np.eye(4))
    volume.header.set_xyzt_units("mm")
    plain = volume.to_bytes()
    return {"v.nii": plain, "v.nii.gz": gzip.compress(plain, mtime=0)}


def _texts() -> dict[str, bytes]:
    texts = (
        TEXT,
        "RLL opacity, the left lung and Rt. base",
        "Multiple polyps, two small polyp areas, upper center and middle left of the image.",
        "opacity at 3 o'clock, lower zone of the r\u00efght lung \u200b",
    )
    return {f"{i}.txt": text.encode() for i, text in enumerate(texts)}


def _read_text(path: Path) -> object:
    from causalseg.text.captions import mirror_caption
    from causalseg.text.clean import clean_text
    from causalseg.text.edits import edits_of
    from causalseg.text.tokenizer import tokenize

    text = clean_text(path.read_bytes().decode("utf-8", "surrogateescape"))
    return edits_of(text), mirror_caption(text), tokenize(text)


def _call(module: str, name: str, **options: Any) -> Callable[[Path], object]:
    """A function that reads a path, imported when it is first used."""

    def drive(path: Path) -> object:
        return getattr(import_module(module), name)(path, **options)

    return drive


def _prediction(*, probabilities: bool) -> Callable[[Path], object]:
    reader = _call(
        "causalseg.evaluation.predictions",
        "read_prediction",
        probabilities=probabilities,
        threshold=0.5,
    )
    return lambda path: reader(path).at((30, 20))  # type: ignore[attr-defined]


def _uploads() -> dict[str, bytes]:
    return {name: data for name, data in (_pictures() | _dicom()).items() if name != "frames.dcm"}


def _upload(path: Path) -> object:
    from causalseg.apps.limits import Limits, read_upload

    return read_upload(path.read_bytes(), Limits())


def _fit(path: Path) -> object:
    from causalseg.cli.fit import COMMAND

    try:
        return COMMAND.read(["--config", str(path)])
    except SystemExit as error:  # how jsonargparse ends, its sentence written to stderr
        if error.code != 2:
            raise
        return None


READERS = {
    "image": Reader(_call("causalseg.data.images", "read_image"), _pictures),
    "mask": Reader(_call("causalseg.data.images", "read_mask"), _masks),
    "prediction": Reader(_prediction(probabilities=False), _binary),
    "probability": Reader(_prediction(probabilities=True), _probabilities),
    "captions": Reader(
        _call("causalseg.inputs.tables", "read_table", columns=("Image", "Description")), _tables
    ),
    "prompts": Reader(_call("causalseg.inference.requests", "read_requests"), _prompts),
    "results": Reader(_read_run, _run),
    "dictionary": Reader(
        _call("causalseg.models.mcdrl.dictionary", "load_dictionary"), _dictionary
    ),
    "prompt_yaml": Reader(_call("causalseg.models.mcdrl.prompts", "read_prompts"), _yaml, 0.5),
    "run_yaml": Reader(_fit, _configs, 0.1),
    "checkpoint": Reader(_segment, _checkpoints, 0.3),
    "onnx": Reader(_segment, _graphs, 0.5),
    "dicom": Reader(_call("causalseg.inference.formats", "read_study"), _dicom),
    "nifti": Reader(_call("causalseg.inference.formats", "read_study"), _nifti),
    "upload": Reader(_upload, _uploads, 0.5),
    "text": Reader(_read_text, _texts),
}
