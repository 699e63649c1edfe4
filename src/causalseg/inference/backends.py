"""Models that `causalseg export` wrote, run without PyTorch's arithmetic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causalseg.errors import InputError
from causalseg.inputs import one_line, regular_file
from causalseg.models.base import ModelConfig, SegmentationModel, Text, pair
from causalseg.models.checkpoint import Checkpoint
from causalseg.models.metadata import read_metadata
from causalseg.models.output import SegmentationOutput
from causalseg.models.trust import Trust
from causalseg.text.readers.none import NoText

EXPORT_FORMAT = "causalseg-export-1"
KEY = "causalseg"
# ONNX Runtime's default optimisation once gave wrong logits, silently, through this fusion.
DISABLED_OPTIMIZERS = ["MatmulTransposeFusion"]

Outputs = tuple[NDArray[np.float32], NDArray[np.float32] | None]
Run = Callable[[NDArray[np.float32], NDArray[np.int64]], Outputs]
"""Images (B, 3, S, S) and tokens to logits (B, 1, S, S) and the deepest features (B, C, h, w),
which files of models that have none, or of an earlier version, do not give."""


class ExportedModel(SegmentationModel):
    """An exported file behind the methods of a model: image and tokens to logits.

    The file holds one graph, so the image is encoded again for each text, and there are no
    attention maps.
    """

    config_class = ModelConfig

    def __init__(self, run: Run, *, reads_text: bool = True) -> None:
        super().__init__(ModelConfig())
        self.reads_text = reads_text
        self._run = run

    def segment(self, features: Tensor, text: Text) -> SegmentationOutput:
        """Run the file on images (B, 3, S, S), or on one image for all texts."""
        assert isinstance(text, Tensor)
        images = pair(features, text).contiguous()
        logits, deep = self._run(images.numpy(), text.numpy())
        found = SegmentationOutput(torch.from_numpy(logits))
        found.deep = None if deep is None else torch.from_numpy(deep)
        return found

    def export_refusal(self) -> str:
        """It is an export."""
        return "it has been exported already"


@dataclass(frozen=True)
class _Opened:
    header: str | None
    run: Run


def is_exported(path: Path) -> bool:
    """Whether the file's name says that it is an export: .onnx or .xml."""
    return path.suffix.lower() in (".onnx", ".xml")


def load_exported(
    path: Path,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    compile: bool = False,
) -> Checkpoint:
    """Open an exported file.

    Args:
        path: `.onnx`, run by ONNX Runtime, or `.xml`, run by OpenVINO.
        device: "cpu".
        precision: "fp32"; OpenVINO also takes "bf16".
        compile: must be False; these files are compiled as they are opened.

    Raises:
        InputError: no such file, not written by `causalseg export`, its runtime is not installed,
            or an option does not apply to it.

    """
    regular_file(path)
    openvino = path.suffix.lower() == ".xml"
    if device != "cpu" or compile or precision not in (("fp32", "bf16") if openvino else ("fp32",)):
        raise InputError(
            f"{path.name} runs on the CPU{'' if openvino else ' in fp32'} and is not compiled; "
            "use the .safetensors checkpoint for other devices, precisions and compile."
        )
    opened = _open_openvino(path, precision) if openvino else _open_onnx(path)
    if not opened.header:
        raise InputError(f"{path} was not written by 'causalseg export'.")
    header = read_metadata(opened.header, path, EXPORT_FORMAT)
    reader = header.preprocessing.get("reader")
    reads_text = not isinstance(reader, dict) or reader.get("name") != NoText.name
    return Checkpoint(
        ExportedModel(opened.run, reads_text=reads_text).eval(),
        header.architecture,
        header.preprocessing,
        header.threshold,
        header.provenance,
        Trust.unpack(header.trust, {}, path),
    )


def _open_onnx(path: Path) -> _Opened:
    ort = load_runtime("onnxruntime")
    try:
        session = ort.InferenceSession(
            path, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED_OPTIMIZERS
        )
        header = session.get_modelmeta().custom_metadata_map.get(KEY)
    except Exception as error:
        raise InputError(
            f"{path} is no ONNX file that ONNX Runtime can run ({one_line(error)})."
        ) from None

    def run(images: NDArray[np.float32], tokens: NDArray[np.int64]) -> Outputs:
        try:
            found = session.run(None, {"images": images, "tokens": tokens})
        except Exception as error:
            raise _not_run(path, error) from None
        return _outputs(found, images, path)

    return _Opened(header, run)


def _open_openvino(path: Path, precision: str) -> _Opened:
    ov = load_runtime("openvino")
    try:
        core = ov.Core()
        model = core.read_model(path)
        header = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
        # By default it takes bfloat16 where the processor has it.
        hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
        compiled = core.compile_model(model, "CPU", {**hint, "PERFORMANCE_HINT": "LATENCY"})
    except Exception as error:
        raise InputError(
            f"{path} is not a model that OpenVINO can run ({one_line(error)})."
        ) from None

    def run(images: NDArray[np.float32], tokens: NDArray[np.int64]) -> Outputs:
        try:
            found = [
                np.array(one) for one in compiled({"images": images, "tokens": tokens}).values()
            ]
        except Exception as error:
            raise _not_run(path, error) from None
        return _outputs(found, images, path)

    return _Opened(header, run)


def _outputs(found: Sequence[Any], images: NDArray[np.float32], path: Path) -> Outputs:
    """The graph's outputs, checked to be logits and, where there are two, features.

    Raises:
        InputError: they are of another shape, or not finite.

    """
    first = found[0] if found else None
    expected = (len(images), 1, *images.shape[2:])
    if not isinstance(first, np.ndarray) or first.shape != expected:
        raise InputError(f"{path} gives {getattr(first, 'shape', first)!s}, not {expected}.")
    deep = found[1] if len(found) > 1 else None
    if deep is not None and (
        not isinstance(deep, np.ndarray) or deep.ndim != 4 or len(deep) != len(images)
    ):
        raise InputError(f"{path} gives features of {getattr(deep, 'shape', deep)!s}.")
    if not all(np.isfinite(one).all() for one in (first, deep) if one is not None):
        raise InputError(f"{path} gives numbers that are not finite: export the model again.")
    return first.astype(np.float32, copy=False), (
        None if deep is None else deep.astype(np.float32, copy=False)
    )


def _not_run(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be run as 'causalseg export' writes it: {one_line(error)}.")


def load_runtime(name: str) -> Any:
    """Import `onnxruntime` or `openvino` without its telemetry. Nothing else may import them.

    OpenVINO reports every import and conversion to an outside host where its package
    `openvino_telemetry` can be imported, and is silent where it cannot. ONNX Runtime (1.32 on
    Linux too) keeps a number for the machine in ~/.cache and reports it with every session, some
    seconds later, unless an environment variable forbids it before the import.

    Raises:
        InputError: it is not installed.

    """
    import os
    import sys
    from importlib import import_module

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if name == "openvino":
        # None tells Python that a module must not be imported.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{name} is not installed; install it with: pip install 'causalseg[export]'."
        ) from error
