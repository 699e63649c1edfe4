"""The tensors of a TorchScript archive, read without running the archive.

`torch.jit.load` compiles and runs code from the file (`__setstate__`). Here the zip is read
as data: its pickle is unpickled with nothing but plain containers, tensors and inert stand-ins for
the modules, and the code's text only tells which attributes are parameters and buffers.
"""

import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip
_MOST_CODE = 2**24
"""Bytes of code, unpacked."""
_CLASS = re.compile(
    r"^class (\w+)\(Module\):\n\s+__parameters__ = \[(.*?)\]\n\s+__buffers__ = \[(.*?)\]",
    re.MULTILINE,
)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers by name, as `torch.jit.load(path).state_dict()` gives them.

    Raises:
        ValueError, OSError, LookupError, TypeError, AttributeError, pickle.UnpicklingError,
        zipfile.BadZipFile: it is no such archive, or it is damaged or holds something else.

    """
    with zipfile.ZipFile(path) as archive:
        code = 0
        for info in archive.infolist():
            # PyTorch compresses only the code, so no tensor can be larger than the file.
            if info.compress_type != zipfile.ZIP_STORED:
                code += info.file_size
            if code > _MOST_CODE:
                raise ValueError("its entries are packed.")
        (root,) = (
            name.removesuffix("data.pkl")
            for name in archive.namelist()
            if re.fullmatch(r"[^/]+/data\.pkl", name)
        )
        if (
            f"{root}byteorder" in archive.namelist()
            and archive.read(f"{root}byteorder") != b"little"
        ):
            raise ValueError("it was written on a big-endian machine.")
        with archive.open(f"{root}data.pkl") as file:
            module = _Reader(file, lambda key: archive.read(f"{root}data/{key}")).load()
        if not isinstance(module, _Module):
            raise ValueError("it holds no module.")
        return dict(_named(module, _declared(archive, root), (), 0))


class _Module:
    """Stands for a module of the archive: the name of its class, and its attributes."""

    kind = ""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a module's state is no table.")
        self.attributes = state


class _Reader(pickle._Unpickler):
    """Unpickles modules and tensors; whatever else a pickle may name is refused.

    The Python implementation is used because its memo is a dictionary: the C one allocates whatever
    index a file claims.
    """

    def __init__(self, file: Any, read: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._read = read

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return type("_Module", (_Module,), {"kind": f"{module}.{name}"})
        if module == "torch" and name in _DTYPES:
            return _Kind(_DTYPES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch.jit._pickle":  # typed lists, whose type is not needed here
            return lambda content, *_: content
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}.")

    def persistent_load(self, pid: Any) -> Tensor:
        what, kind, key, _, count = pid
        if what != "storage" or not isinstance(kind, _Kind) or not str(key).isalnum():
            raise pickle.UnpicklingError("it holds something that is no tensor.")
        content = bytearray(self._read(str(key)))
        flat = torch.frombuffer(content, dtype=kind.dtype) if content else torch.empty(0)
        if len(flat) != count:
            raise pickle.UnpicklingError("a tensor's data has another size than it says.")
        return flat


class _Kind:
    """The type of a storage's numbers. The file gets no class of PyTorch's own."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def _tensor(flat: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """A view of the numbers in the file, never of more than there are."""
    numbers = (offset, *shape, *strides)
    if not isinstance(flat, Tensor) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor's shape is none.")
    if math.prod(shape) > len(flat):
        raise pickle.UnpicklingError("a tensor is larger than its data.")
    return flat.as_strided(shape, strides, offset).clone()  # refuses what lies outside


def _declared(archive: zipfile.ZipFile, root: str) -> dict[str, set[str]]:
    """Class -> its parameters and buffers, from the text of the code."""
    found: dict[str, set[str]] = {}
    start = f"{root}code/"
    for name in archive.namelist():
        if name.startswith(start) and name.endswith(".py"):
            module = name.removeprefix(start).removesuffix(".py").replace("/", ".")
            for kind, *lists in _CLASS.findall(archive.read(name).decode()):
                names = re.findall(r'"([^"]+)"', " ".join(lists))
                found[f"{module}.{kind}"] = set(names)
    return found


def _named(
    module: _Module, declared: dict[str, set[str]], above: tuple[str, ...], depth: int
) -> Iterator[tuple[str, Tensor]]:
    if depth > 100:
        raise ValueError("its modules lie in each other without end.")
    own = declared.get(module.kind, set())
    for name, value in module.attributes.items():
        if isinstance(value, Tensor) and name in own:
            yield ".".join((*above, name)), value
        elif isinstance(value, _Module):
            yield from _named(value, declared, (*above, str(name)), depth + 1)
