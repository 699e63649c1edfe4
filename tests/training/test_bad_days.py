"""What goes wrong on a bad day ends in a sentence, and leaves the run that can go on."""

import fcntl
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from causalseg import build_model
from causalseg.data.datamodule import DataConfig
from causalseg.errors import InputError
from causalseg.files import check_folder, make_folder
from causalseg.models.checkpoint import save_checkpoint
from causalseg.training.callbacks import Export
from causalseg.training.checkpoint_io import (
    WholeCheckpoints,
    check_checkpoint,
    check_same_model,
)
from causalseg.training.config import OptimizerConfig, RunConfig, TrainerConfig
from causalseg.training.module import SegmentationModule

Refused = Callable[[list[str]], str]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def words_of(root: Path, out: Path, *more: str) -> list[str]:
    options = {
        "data.root": root, "data.size": 32, "data.batch_size": 6, "model.encoder": "tiny",
        "model.head_channels": "[16,16,8]", "trainer.accelerator": "cpu", "out": out,
    }  # fmt: skip
    return ["fit", *(f"--{name}={value}" for name, value in options.items()), *more]


def process_of(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "causalseg", *words]


def test_the_checkpoint_before_is_kept_and_a_full_disk_loses_none(tmp_path: Path) -> None:
    path, writer = tmp_path / "last.ckpt", WholeCheckpoints()
    (tmp_path / ".last.ckpt.0123abcd.part").write_text("left by a killed run")
    for step in range(3):
        writer.save_checkpoint({"step": step}, path)
    assert torch.load(path, weights_only=True) == {"step": 2}
    assert torch.load(tmp_path / "last.ckpt.previous", weights_only=True) == {"step": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "last.ckpt.previous"]


def test_a_full_disk_ends_in_a_sentence_and_leaves_the_checkpoint(
    tmp_path: Path, refused: Refused
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", full], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        writer = WholeCheckpoints()
        writer.save_checkpoint({"weights": torch.zeros(50_000)}, full / "last.ckpt")
        with pytest.raises(InputError, match="No space left"):
            writer.save_checkpoint({"weights": torch.zeros(500_000)}, full / "last.ckpt")
        assert len(torch.load(full / "last.ckpt", weights_only=True)["weights"]) == 50_000
        model = build_model("causalclipseg", encoder="tiny")
        with pytest.raises(InputError, match="No space left"):
            save_checkpoint(
                full / "best.safetensors", model, preprocessing={}, threshold=0.5, provenance={}
            )
        with pytest.raises(OSError, match="No space left"):
            (full / "the rest").write_bytes(bytes(2 << 20))
        words = ["data", "make-phantoms", "--out", str(full / "p")]
        assert "No space left" in refused(words)
        assert not list(full.glob(".*"))
    finally:
        subprocess.run(["umount", full], check=True)


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_killed(
    phantoms: Path, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "run"
    words = words_of(phantoms, out, "--ckpt_path=last")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    long = process_of([*words, "--trainer.max_epochs=1000"])
    with subprocess.Popen(long, env=ENVIRONMENT, **quiet) as first:
        deadline = time.monotonic() + 120
        while not (out / "last.ckpt").exists():
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "another run is training in" in refused(words)
        first.send_signal(signal.SIGKILL)
    with (out / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if the lock outlived the process


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_a_damaged_checkpoint_is_named(
    content: bytes, phantoms: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    words = words_of(phantoms, tmp_path / "run", f"--ckpt_path={tmp_path / 'last.ckpt'}")
    assert "damaged or is no checkpoint" in refused(words)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        *(("optimizer", "lr", value) for value in (-1.0, 0.0, math.inf, math.nan)),
        *(("optimizer", name, -1) for name in ("image_lr_factor", "weight_decay", "warmup_steps")),
        *(("optimizer", "ema_decay", value) for value in (-0.1, 1.0, 2.0)),
        *(("trainer", name, 0) for name in ("max_epochs", "patience", "devices", "num_nodes")),
        ("trainer", "accumulate_grad_batches", 0),
        ("trainer", "gradient_clip_val", -1.0),
        ("trainer", "check_val_every_n_epoch", 0),
        ("trainer", "check_val_every_n_epoch", 2001),  # more than max_epochs
        ("trainer", "sample_every_n_epoch", 0),
        *(("data", name, -1) for name in ("batch_size", "workers", "seed", "val_limit")),
        *(("", "seed", value) for value in (-1, 2**32)),
        ("", "out", ""),
    ],
)
def test_values_out_of_range_are_named(part: str, name: str, value: float) -> None:
    kinds = {
        "optimizer": OptimizerConfig,
        "trainer": TrainerConfig,
        "data": DataConfig,
        "": RunConfig,
    }
    needed = {"data": {"root": "x"}, "": {"data": DataConfig(root="x")}}
    with pytest.raises(InputError, match=f"{part}.?{name} "):
        kinds[part](**needed.get(part, {}), **{name: value})


def test_a_value_out_of_range_ends_the_command(
    phantoms: Path, tmp_path: Path, refused: Refused
) -> None:
    said = refused(words_of(phantoms, tmp_path / "run", "--trainer.accumulate-grad-batches=0"))
    assert said == "causalseg fit: error: trainer.accumulate_grad_batches must be at least 1.\n"


def test_layers_that_cannot_be_built_are_named() -> None:
    with pytest.raises(InputError, match=r"causalclipseg cannot be built so: .*negative"):
        build_model("causalclipseg", encoder="tiny", head_channels=(-1, 2, 3))


def test_weights_that_are_no_numbers_are_not_exported() -> None:
    module = SegmentationModule(build_model("causalclipseg", encoder="tiny"), OptimizerConfig())
    next(module.model.parameters()).data.fill_(math.nan)
    trainer = SimpleNamespace(current_epoch=3)
    with pytest.raises(InputError, match=r"not finite after epoch 3: lower optimizer\.lr"):
        Export(Path("unused"), {}).on_validation_epoch_end(trainer, module)  # type: ignore[arg-type]


def test_a_run_is_not_continued_with_another_model(tmp_path: Path) -> None:
    module = SegmentationModule(build_model("causalclipseg", encoder="tiny"), OptimizerConfig())
    torch.save({"state_dict": module.state_dict()}, tmp_path / "last.ckpt")
    check_same_model(tmp_path / "last.ckpt", module)
    torch.save({"state_dict": {"model.x": torch.zeros(3)}}, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="another model than the config describes"):
        check_same_model(tmp_path / "last.ckpt", module)


def test_a_file_in_the_folders_place_is_named(
    phantoms: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(words_of(phantoms, tmp_path / "file"))


@pytest.mark.parametrize("name", ["metrics.csv", "tensorboard"])
def test_what_stands_in_a_files_place_is_named(
    phantoms: Path, tmp_path: Path, name: str, refused: Refused
) -> None:
    place = tmp_path / "run" / name
    place.parent.mkdir()
    place.mkdir() if name == "metrics.csv" else place.write_text("")
    said = refused(words_of(phantoms, tmp_path / "run", "--trainer.max_epochs=1"))
    assert "cannot be written: " in said


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/dev/null/x", "/proc/x"])
def test_a_folder_that_cannot_be_made_is_named(name: str) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        make_folder(check_folder(Path(name)))


def test_no_git_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    from causalseg.training.environment import environment

    monkeypatch.setenv("PATH", "")
    assert environment().git_revision is None


def test_a_run_that_has_its_epochs_is_not_shortened(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    parts = {"optimizer_states": [], "loops": {}, "pytorch-lightning_version": "2.6.4"}
    torch.save({"state_dict": {}, "epoch": 4} | parts, path)
    check_checkpoint(path, 5)
    with pytest.raises(InputError, match="5 epochs already"):
        check_checkpoint(path, 4)
    torch.save({"state_dict": {}, "epoch": 4}, path)
    with pytest.raises(InputError, match="is no checkpoint of a run"):
        check_checkpoint(path, 5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model=null"], "model"),
        (["--model.weights=RN50"], "openai:RN50"),
        (["--trainer.accelerator=gpu"], "trainer.accelerator gpu"),
        (["--trainer.accelerator=abacus"], "trainer.accelerator abacus"),
        (["--trainer.accelerator=cpu", "--trainer.devices=999"], "trainer.devices 999"),
    ],
)
def test_a_run_that_cannot_be_ends_in_a_sentence(
    phantoms: Path, tmp_path: Path, words: list[str], sentence: str, refused: Refused
) -> None:
    if "--trainer.accelerator=gpu" in words and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert sentence in refused(words_of(phantoms, tmp_path / "run", *words))


def test_a_config_without_a_model_ends_in_a_sentence(
    phantoms: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "c.yaml").write_text("model: null\n")
    words = words_of(phantoms, tmp_path / "run")
    words[1:1] = ["--config", str(tmp_path / "c.yaml")]
    assert "model" in refused([word for word in words if not word.startswith("--model.")])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="waits by Linux's /proc")
def test_a_run_that_is_terminated_in_its_first_moments_says_so(
    phantoms: Path, tmp_path: Path
) -> None:
    words = process_of(words_of(phantoms, tmp_path / "run"))
    with subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as run:
        while not caught(run.pid) >> (signal.SIGTERM - 1) & 1:
            assert run.poll() is None
            time.sleep(0.01)
        run.terminate()
        _, said = run.communicate()
    assert run.returncode == 130
    assert said == "causalseg fit: interrupted\n"


def caught(process: int) -> int:
    """The signals that a process has handlers for, as bits."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)
