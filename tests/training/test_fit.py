"""Real runs on phantoms: what they leave, and that stopping them anywhere changes nothing."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning as L
import pytest
import torch

from causalseg import Segmenter
from causalseg.cli.main import main
from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.errors import InputError
from causalseg.models.checkpoint import load_checkpoint, read_header
from causalseg.training.config import OptimizerConfig, RunConfig, TrainerConfig
from causalseg.training.fit import build_module, fit

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def config(root: Path, out: Path, epochs: int = 1, **options: object) -> RunConfig:
    model = {"encoder": "tiny", "head_channels": (16, 16, 8)}
    fields: dict[str, object] = {
        "data": DataConfig(root=root, size=32, batch_size=6),
        "model": model,
        "optimizer": OptimizerConfig(lr=1e-3, ema_decay=0.9),
        "trainer": TrainerConfig(max_epochs=epochs, accelerator="cpu"),
        "out": str(out),
    } | options
    return RunConfig(**fields)


def words_of(root: Path, out: Path, epochs: int, *more: str) -> list[str]:
    options = {
        "data.root": root, "data.size": 32, "data.batch_size": 6, "model.encoder": "tiny",
        "model.head_channels": "[16,16,8]", "optimizer.lr": 0.001, "optimizer.ema_decay": 0.9,
        "trainer.max_epochs": epochs, "trainer.accelerator": "cpu", "out": out,
    }  # fmt: skip
    return ["fit", *(f"--{name}={value}" for name, value in options.items()), *more]


def command(root: Path, out: Path, epochs: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "causalseg", *words_of(root, out, epochs, *more)]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As `ENVIRONMENT` gives to processes: the order of sums depends on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bare_trainer(callback: L.Callback, **limits: int) -> L.Trainer:
    """A trainer that watches and leaves nothing behind."""
    return L.Trainer(
        **limits,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def table(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_what_it_promises(phantoms: Path, tmp_path: Path) -> None:
    best = fit(config(phantoms, tmp_path / "run"))
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["config"]["optimizer"]["lr"] == 1e-3
    assert record["environment"]["versions"]["torch"] == torch.__version__
    assert len(record["data"]["train"]["fingerprint"]) == 64
    assert record["initial_weights"]["source"] == "random"
    (row,) = table(tmp_path / "run")
    assert {"train_causal", "train_confounding", "train_mask2_mean", "val_dice"} <= row.keys()
    assert (tmp_path / "run/samples/epoch_0000.png").exists()
    assert any((tmp_path / "run/tensorboard").iterdir())
    header = read_header(best)
    assert header.threshold == pytest.approx(float(row["val_threshold"]))
    assert header.provenance["selected"]["val_dice"] == pytest.approx(
        float(row["val_dice"]), abs=1e-5
    )
    assert Segmenter.load(best).preprocessing.size == 32


@pytest.mark.usefixtures("one_thread")
def test_kill_and_resume_equals_an_unbroken_run(phantoms: Path, tmp_path: Path) -> None:
    """2 + 1 epochs with a kill -9 in the third equal 3, metric for metric."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = subprocess.Popen(
        command(phantoms, broken, 3),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 1 "):
            while not (broken / "last.ckpt").exists():
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(table(broken)) < 3
    assert main(words_of(phantoms, broken, 3, "--ckpt_path=last")) == 0
    assert main(words_of(phantoms, whole, 3)) == 0
    assert table(broken) == table(whole)
    best = [Segmenter.load(f / "best.safetensors").model.state_dict() for f in (whole, broken)]
    for name, tensor in best[0].items():
        assert torch.equal(tensor, best[1][name]), name


def test_interrupting_leaves_a_usable_checkpoint(phantoms: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(phantoms, tmp_path / "run", 500),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background makes its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert Segmenter.load(tmp_path / "run/last.safetensors").preprocessing.size == 32


def test_two_processes_train_together(phantoms: Path, tmp_path: Path) -> None:
    subprocess.run(
        command(phantoms, tmp_path / "run", 1, "--trainer.devices=2"),
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    (row,) = table(tmp_path / "run")
    assert int(row["step"]) == 2  # 17 training images, two processes of two batches each
    assert 0 <= float(row["val_dice"]) <= 1


def test_rates_are_applied_after_every_epoch(phantoms: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Reader(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
            (optimizer,) = trainer.optimizers
            seen.append({group["name"]: group["lr"] for group in optimizer.param_groups})

    settings = config(
        phantoms,
        tmp_path,
        optimizer=OptimizerConfig(lr=1e-3, image_lr_factor=0.1, text_lr_factor=0.5),
    )
    bare_trainer(Reader(), max_epochs=3).fit(
        build_module(settings), datamodule=LViTDataModule(settings.data)
    )
    # Cosine from 1 to 0 over 3 epochs: 0.75, 0.25, 0 of the first rate.
    for epoch, factor in enumerate((0.75, 0.25, 0.0)):
        assert seen[epoch]["head"] == pytest.approx(1e-3 * factor, abs=1e-9)
        assert seen[epoch]["image"] == pytest.approx(1e-4 * factor, abs=1e-9)
        assert seen[epoch]["text"] == pytest.approx(5e-4 * factor, abs=1e-9)


def test_alternating_moves_masker_and_rest_in_turn(phantoms: Path, tmp_path: Path) -> None:
    model = {"encoder": "tiny", "head_channels": (16, 16, 8), "adversary": "alternating"}
    settings = config(phantoms, tmp_path, model=model, optimizer=OptimizerConfig(lr=1e-3))
    module = build_module(settings)
    moved: list[set[str]] = []
    before = {n: p.detach().clone() for n, p in module.model.named_parameters()}

    class Watcher(L.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            changed = {
                "masker" if n.startswith("maskers.") else "rest"
                for n, p in module.model.named_parameters()
                if not torch.equal(p, before[n])
            }
            moved.append(changed)
            before.update({n: p.detach().clone() for n, p in module.model.named_parameters()})

    bare_trainer(Watcher(), max_steps=4).fit(module, datamodule=LViTDataModule(settings.data))
    assert moved[:4] == [{"rest"}, {"masker"}, {"rest"}, {"masker"}]


def test_a_folder_with_a_run_is_not_overwritten(phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match="--ckpt-path last"):
        fit(config(phantoms, tmp_path))


def test_init_starts_from_a_checkpoint(phantoms: Path, tmp_path: Path) -> None:
    first = build_module(config(phantoms, tmp_path))
    from causalseg.models.checkpoint import save_checkpoint

    path = tmp_path / "start.safetensors"
    save_checkpoint(path, first.model, preprocessing={"size": 32}, threshold=0.5, provenance={})
    torch.manual_seed(5)
    again = build_module(config(phantoms, tmp_path, init=str(path)))
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    with pytest.raises(InputError, match="another model"):
        build_module(config(phantoms, tmp_path, init=str(path), model={"encoder": "tiny"}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--data.root", "nowhere"], "nowhere"),
        (["--model.lamda", "1"], "lamda"),
        (["--architecture", "unett"], "no model 'unett'"),
    ],
)
def test_wrong_options_end_in_a_sentence(
    words: list[str],
    message: str,
    phantoms: Path,
    tmp_path: Path,
    refused: Callable[[list[str]], str],
) -> None:
    options = ["--out", str(tmp_path / "run"), "--model.encoder", "tiny"]
    if "--data.root" not in words:
        options += ["--data.root", str(phantoms)]
    assert message in refused(["fit", *options, *words])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_in_any_precision(
    phantoms: Path, tmp_path: Path, precision: str
) -> None:
    trainer = TrainerConfig(
        max_epochs=1, accelerator="cpu", precision=precision, gradient_clip_val=1e-30
    )
    run = config(phantoms, tmp_path / "run", trainer=trainer, optimizer=OptimizerConfig(lr=1e-3))
    best = fit(run)
    L.seed_everything(run.seed, verbose=False)
    started = build_module(run).model.state_dict()
    trained = load_checkpoint(best).model.state_dict()
    weight = "causal.decoder.kernel.weight"
    # Adam divides by the gradient's size, but not below its epsilon: next to nothing moves.
    torch.testing.assert_close(trained[weight], started[weight], atol=1e-6, rtol=0)
