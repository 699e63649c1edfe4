"""8-bit ONNX files: static quantisation, with ranges calibrated on images."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from causalseg.errors import InputError
from causalseg.inference.backends import DISABLED_OPTIMIZERS, load_runtime

MIN_CHANNELS = 16
"""Convolutions that read fewer channels stay in float32: the first one, whose input is the image,
and those that interpolate, whose nine taps are the decoder's answer. Both cost almost nothing."""


def quantise(source: Path, out: Path, images: Tensor, tokens: Tensor) -> int:
    """Write the graph with its wide convolutions in int8 (QDQ form), all else in float32.

    Weights are quantised per output channel, activations per tensor with the range that they had
    on the given inputs. The text path and its kernel hold no convolution and keep float32.

    Args:
        source: `.onnx`, as `causalseg export` writes it; its metadata is kept.
        out: `.onnx`.
        images: (B, 3, S, S) float32, B > 0, normalised.
        tokens: (B, L) int64.

    Returns:
        The number of convolutions that were quantised.

    Raises:
        InputError: onnxruntime or onnx is not installed, or there is nothing to quantise.

    """
    load_runtime("onnxruntime")
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed; install it with: pip install 'causalseg[export]'."
        ) from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[dict[str, NDArray[Any]]] = (
                {"images": images[i : i + 1].numpy(), "tokens": tokens[i : i + 1].numpy()}
                for i in range(len(images))
            )

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            return next(self.rows, None)

    folded = out.with_suffix(".folded.onnx")
    _fold_constants(source, folded)
    graph = onnx.load(folded)
    folded.unlink()
    chosen = wide_convolutions(graph)
    if not chosen:
        raise InputError(f"no convolution of this model reads {MIN_CHANNELS} channels; no int8.")
    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_static(
            graph,
            out,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=chosen,
            per_channel=True,
        )
    finally:
        logging.getLogger().removeFilter(_no_advice)
    written = onnx.load(out)
    del written.metadata_props[:]
    written.metadata_props.extend(onnx.load(source).metadata_props)
    onnx.save(written, out)
    return len(chosen)


def wide_convolutions(graph: Any) -> list[str]:
    """Names of the convolutions with constant weights (D, C, k, l) and C >= `MIN_CHANNELS`."""
    shapes = {w.name: tuple(w.dims) for w in graph.graph.initializer}
    return [
        node.name
        for node in graph.graph.node
        if node.op_type == "Conv" and shapes.get(node.input[1], (0, 0))[1] >= MIN_CHANNELS
    ]


def _fold_constants(source: Path, out: Path) -> None:
    """Let ONNX Runtime compute what depends on weights alone, such as the decoder's taps."""
    ort = load_runtime("onnxruntime")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    ort.InferenceSession(
        source,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=DISABLED_OPTIMIZERS,
    )


def _no_advice(record: logging.LogRecord) -> bool:
    """Drop the advice to preprocess: batch norms are folded and shapes are known already."""
    return "pre-processing" not in record.getMessage()
