"""A model in one safetensors file, with everything needed to use it.

The file's metadata (plain JSON text) holds the architecture and its config, preprocessing,
threshold and provenance. Loading runs no code of the file and needs no other file or network.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from causalseg.errors import InputError
from causalseg.files import replacing
from causalseg.inputs import one_line
from causalseg.models.base import ModelConfig, SegmentationModel
from causalseg.models.metadata import FileHeader, read_metadata
from causalseg.models.registry import model_class, model_config, model_name
from causalseg.models.trust import Trust

CHECKPOINT_FORMAT = "causalseg-1"
TRUST = "trust."
"""Prefix of tensors that are not the model's."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and what belongs to it."""

    model: SegmentationModel
    """In evaluation mode, float32."""
    architecture: str
    preprocessing: dict[str, Any]
    """Fields of `causalseg.data.preprocessing.Preprocessing`."""
    threshold: float
    """A pixel is in the mask where its probability is at least this."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Data fingerprint, versions, initial weights, scores: whatever the run recorded."""
    trust: Trust = field(default_factory=Trust)
    """What is known about when to believe its answers."""


def save_checkpoint(
    path: Path,
    model: SegmentationModel,
    *,
    preprocessing: Mapping[str, Any],
    threshold: float,
    provenance: Mapping[str, Any],
    trust: Trust | None = None,
    half: bool = False,
) -> None:
    """Write a checkpoint, whole or not at all.

    A tensor that has several names (tied weights) is stored under its first.

    Args:
        path: where to; `.safetensors`.
        model: its architecture must be registered.
        preprocessing: fields of `Preprocessing`.
        threshold: on the probability, in (0, 1).
        provenance: JSON-serialisable record of how the weights came about.
        trust: what `causalseg calibrate` measured.
        half: store floating-point tensors as float16 (half the size; loaded as float32).

    """
    checks, arrays = (trust or Trust()).pack()
    header = FileHeader(
        format=CHECKPOINT_FORMAT,
        architecture=model_name(model),
        config=asdict(model.config),
        preprocessing=dict(preprocessing),
        threshold=threshold,
        provenance=dict(provenance),
        trust=checks,
    )
    state = {
        name: (_halved(t) if half else t).detach().cpu().contiguous()
        for name, t in _distinct(model.state_dict(keep_vars=True)).items()
    }
    state |= {
        f"{TRUST}{name}": torch.from_numpy(array).contiguous() for name, array in arrays.items()
    }
    _write(path, state, header)


def _write(path: Path, state: dict[str, Tensor], header: FileHeader) -> None:
    with replacing(path) as part:
        try:
            save_file(state, part, metadata={"causalseg": json.dumps(asdict(header))})
        except SafetensorError as error:  # such as of a full disk
            raise InputError(f"{path} cannot be written: {one_line(error)}.") from error


def add_trust(path: Path, out: Path, trust: Trust) -> None:
    """Copy a checkpoint, its tensors byte for byte, with other checks of its answers.

    Raises:
        InputError: as `read_header`.

    """
    checks, arrays = trust.pack()
    header = replace(read_header(path), trust=checks)
    with safe_open(path, framework="pt") as file:
        state = {
            key: file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118
            if not key.startswith(TRUST)
        }
    state |= {
        f"{TRUST}{name}": torch.from_numpy(array).contiguous() for name, array in arrays.items()
    }
    _write(out, state, header)


def read_header(path: Path) -> FileHeader:
    """The metadata of a checkpoint, without its weights.

    Raises:
        InputError: there is no such file, or it is not a checkpoint of this package.

    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"checkpoint {path} {what}; give the .safetensors file of a run.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable safetensors file, so no checkpoint ({one_line(error)})."
        ) from error
    if "causalseg" not in metadata:
        raise InputError(f"{path} holds tensors but was not written by causalseg.")
    return read_metadata(metadata["causalseg"], path, CHECKPOINT_FORMAT)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. The file's shapes are compared with those of its model before any memory
    is taken for either, so no more is taken than the file's length (twice that for float16).

    Raises:
        InputError: as `read_header`, or the weights do not fit the model or are not finite.

    """
    header = read_header(path)
    name = header.architecture
    unfit = InputError(f"the weights in {path} do not fit the model that its metadata describes.")
    with safe_open(path, framework="pt") as file:
        keys = [key for key in file.keys() if not key.startswith(TRUST)]  # noqa: SIM118
        arrays = {
            key.removeprefix(TRUST): file.get_tensor(key).numpy()
            for key in file.keys()  # noqa: SIM118
            if key.startswith(TRUST)
        }
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in keys}
        config = _config(name, header.config, path)
        expected = _distinct(_outline(name, config, path).state_dict(keep_vars=True))
        free = model_class(name).free_length
        for key, tensor in expected.items():
            start = 1 if key in free else 0
            if key not in shapes or shapes[key][start:] != tuple(tensor.shape)[start:]:
                raise unfit
        if shapes.keys() != expected.keys():
            raise unfit
        # Without `initialise`: initial weights are not needed, and their file may be gone.
        with _NoDraws():
            model = model_class(name)(config)
        try:
            state = {key: _full(file.get_tensor(key)) for key in shapes}
            own = model.state_dict(keep_vars=True)
            first = {id(tensor): key for key, tensor in _distinct(own).items()}
            model.load_state_dict({key: state[first[id(t)]] for key, t in own.items()})
        except (RuntimeError, SafetensorError) as error:
            raise unfit from error
    bad = [key for key, tensor in state.items() if not _sound(key, tensor)]
    if bad:
        raise InputError(
            f"the weights in {path} are not finite ({bad[0]}): train or fetch it again."
        )
    return Checkpoint(
        model.eval(),
        name,
        header.preprocessing,
        header.threshold,
        header.provenance,
        Trust.unpack(header.trust, arrays, path),
    )


def _sound(name: str, tensor: torch.Tensor) -> bool:
    """Whether numbers are finite; a variance may be infinite, which shuts off its channel. The
    first packaged model has some that exceeded float16 when it was saved.
    """
    if name.endswith("running_var"):
        return not bool(torch.isnan(tensor).any())
    # A sum is finite only of finite numbers, and is had several times faster.
    return bool(torch.isfinite(tensor.sum()) or torch.isfinite(tensor).all())


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    """As float16, except for numbers that it cannot hold."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if bool(torch.isfinite(half).all()) else tensor


def check_loadable(model: SegmentationModel, preprocessing: Mapping[str, Any]) -> None:
    """Save and load a model, so that one that cannot be loaded fails before training.

    Raises:
        InputError: it cannot be saved or loaded, or comes back different.

    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trial.safetensors"
        save_checkpoint(path, model, preprocessing=preprocessing, threshold=0.5, provenance={})
        back = load_checkpoint(path).model
    own = model.state_dict()
    same = all(torch.equal(tensor, own[name].cpu()) for name, tensor in back.state_dict().items())
    if back.config != model.config or not same:
        raise InputError(f"{model_name(model)} does not come back from a checkpoint as it was.")


def _distinct(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State without the additional names of tied weights."""
    first: dict[int, str] = {}
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: state[name] for name in first.values()}


def _config(name: str, fields: dict[str, Any], path: Path) -> ModelConfig:
    try:
        config: ModelConfig = model_config(name, fields)
    except InputError:
        raise
    except Exception as error:  # a false field may make the config raise anything
        raise InputError(
            f"{path} describes no model that can be built ({one_line(error)})."
        ) from None
    return config


class _NoDraws(TorchFunctionMode):
    """Within this context nothing is drawn at random: a checkpoint's weights take its place, and on
    the meta device the first draw takes seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


_DRAWS = (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_,
          nn.init.kaiming_normal_, nn.init.kaiming_uniform_)  # fmt: skip


def _outline(name: str, config: ModelConfig, path: Path) -> SegmentationModel:
    """The model without memory for its tensors, if its library allows that."""
    try:
        with torch.device("meta"), _NoDraws():
            return model_class(name)(config)
    except NotImplementedError:  # it reads a tensor's value while it is built
        return model_class(name)(config)
    except InputError:
        raise
    except Exception as error:  # a false config may make the layers raise anything
        raise InputError(
            f"{path} describes no model that can be built ({one_line(error)})."
        ) from None


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
