"""TorchScript archives give their tensors, and whatever they bring along is not run."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from causalseg.encoders.torchscript import read_torchscript
from causalseg.encoders.weights import read_state
from causalseg.errors import InputError


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.mask = torch.ones(5)  # neither a parameter nor a buffer

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.line(x)) * self.mask.sum()


class Endless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(4.0))

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.training = state[1]
        while state[0].numel() > 0:
            self.training = not self.training

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_an_archive_gives_what_pytorch_itself_reads(tmp_path: Path) -> None:
    model = nn.Sequential(Part(), nn.Sequential(Part().half(), nn.Identity())).eval()
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.script(model), path)
    found, expected = read_torchscript(path), torch.jit.load(path).state_dict()
    assert found.keys() == expected.keys()
    assert any("num_batches_tracked" in name for name in found)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_code_in_an_archive_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "endless.pt"
    torch.jit.save(torch.jit.script(Endless()), path)
    with pytest.raises(InputError, match="neither a state dict"):  # jit.load would not return
        read_state(path)


def rewritten(source: Path, target: Path, data: bytes) -> Path:
    """A copy of an archive with another pickle in it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("/data.pkl") else old.read(name))
    return target


class Run:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_something_is_refused(tmp_path: Path, protocol: int) -> None:
    import os

    good = tmp_path / "good.pt"
    torch.jit.save(torch.jit.script(Part().eval()), good)
    marker = tmp_path / "marker"
    calls = [
        (os.system, f"touch {marker}"), (eval, f"open({str(marker)!r}, 'w')"), (open, marker, "w"),
        (getattr, "x", "upper"), (torch.load, str(marker)), (exec, "while True: pass"),
    ]  # fmt: skip
    for call in calls:
        bad = rewritten(good, tmp_path / "bad.pt", pickle.dumps(Run(*call), protocol))
        with pytest.raises(InputError, match="without running code"):
            read_state(bad)
        assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\x80\x02r\xff\xff\xff\xff.",  # a memo of four billion places
        b"\x80\x02Ntr\xff\xff\xff\x7f.",
        b"\x80\x02c__torch__\nA\n)\x81}X\x01\x00\x00\x00aNs(b.",
        b"\x80\x02c__torch__\nA\n}X\x04\x00\x00\x00kindc__torch__\nB\nsb.",
    ],
)
def test_damaged_pickles_are_refused(tmp_path: Path, data: bytes) -> None:
    good = tmp_path / "good.pt"
    torch.jit.save(torch.jit.script(Part().eval()), good)
    with pytest.raises(InputError, match="without running code"):
        read_state(rewritten(good, tmp_path / "bad.pt", data))


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.pt"
    torch.jit.save(torch.jit.script(Part().eval()), good)
    with zipfile.ZipFile(good) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        data = archive.read(name)
    # The shape (4, 3) of the first layer, with its strides (3, 1).
    shape = b"(K\x04K\x03t"
    assert data.count(shape) == 1
    bad = rewritten(good, tmp_path / "bad.pt", data.replace(shape, b"(J\xff\xff\xff\x7fK\x03t"))
    with pytest.raises(InputError, match="without running code"):
        read_state(bad)
