"""Contrastive objectives against slow forms, and pre-training that is killed and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from causalseg import build_model
from causalseg.cli.main import main
from causalseg.data.datamodule import DataConfig
from causalseg.data.lvit import read_lvit
from causalseg.encoders.weights import pretrained_as
from causalseg.errors import InputError
from causalseg.evaluation.alignment import ranks, retrieval, side_swap
from causalseg.text.tokenizer import tokenize
from causalseg.training.contrastive import (
    ImageTextPair,
    caption_targets,
    contrastive_loss,
    local_scores,
)
from causalseg.training.pretrain import PretrainConfig, pretrain

OBJECTIVES = ("clip", "convirt", "gloria")
CAPTIONS = [
    "upper left lung.",
    "lower right lung and all left lung, two infected areas.",
    "upper left lung.",
    "no finding.",
]


def test_equal_captions_are_positives() -> None:
    targets = caption_targets(tokenize(CAPTIONS, 24))
    half = [0.5, 0.0, 0.5, 0.0]
    assert targets.tolist() == [half, [0, 1, 0, 0], half, [0, 0, 0, 1]]


def test_the_loss_is_that_of_the_definition() -> None:
    torch.manual_seed(0)
    s, targets = torch.randn(4, 4), caption_targets(tokenize(CAPTIONS, 24))
    to_text = to_image = 0.0
    for i in range(4):
        for j in range(4):
            t = float(targets[i, j])
            to_text -= t * float(s[i, j] - torch.logsumexp(s[i], 0)) / 4
            to_image -= t * float(s[j, i] - torch.logsumexp(s[:, i], 0)) / 4
    found = contrastive_loss(s, targets, 0.75)
    assert float(found) == pytest.approx(0.75 * to_text + 0.25 * to_image, rel=1e-5)
    # The least there can be is the entropy of the targets, which equal captions reach.
    perfect = contrastive_loss((targets + 1e-30).log(), targets)
    assert float(perfect) == pytest.approx(np.log(2) / 2, abs=1e-5)
    identity = contrastive_loss(s, torch.eye(4))
    assert float(identity) == pytest.approx(
        float(F.cross_entropy(s, torch.arange(4)) + F.cross_entropy(s.T, torch.arange(4))) / 2
    )


def test_local_scores_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(2, 5, 2, 3, generator=generator)
    t = torch.randn(3, 4, 5, generator=generator)
    lengths = [4, 2, 3]
    valid = torch.arange(4) < torch.tensor(lengths)[:, None]
    found = local_scores(v, t, valid)
    for b in range(2):
        regions = v[b].flatten(1).T  # (N, C)
        for k, n in enumerate(lengths):
            words = t[k, :n]
            s = torch.softmax(words @ regions.T, dim=0)  # over the words
            total = 0.0
            for i in range(n):
                a = torch.softmax(4 * s[i], dim=0)
                context = sum(a[j] * regions[j] for j in range(len(regions)))
                total += float(torch.exp(5 * F.cosine_similarity(context, words[i], dim=0)))
            assert float(found[b, k]) == pytest.approx(np.log(total / n), rel=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_parameter_learns_and_padding_says_nothing(objective: str) -> None:
    torch.manual_seed(0)
    pair = ImageTextPair("tiny", objective)
    images = torch.randn(4, 3, 64, 64)
    pair.losses(images, tokenize(CAPTIONS, 24))["loss"].backward()
    unused = [n for n, p in pair.named_parameters() if p.grad is None or not p.grad.any()]
    # Positions after the longest caption are never reached; all else is.
    assert not unused
    pair.eval()
    with torch.no_grad():
        short, long = (pair.losses(images, tokenize(CAPTIONS, n))["loss"] for n in (24, 60))
        said = pair.encode_texts(tokenize(CAPTIONS, 24))[0]
        alone = pair.encode_texts(tokenize(CAPTIONS[:1], 24))[0]
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said[:1], alone, atol=1e-5, rtol=1e-5)


def test_gloria_counts_the_start_and_the_words_and_no_end() -> None:
    tokens = tokenize(CAPTIONS, 24)
    _, _, valid = ImageTextPair("tiny", "gloria").encode_texts(tokens)
    assert valid.sum(1).tolist() == tokens.argmax(1).tolist()
    assert valid[:, 0].all()


def test_an_objective_that_the_towers_cannot_have_is_refused() -> None:
    with pytest.raises(InputError, match="reads a ResNet's stages"):
        ImageTextPair("ViT-B-16", "gloria")


def test_a_model_that_gives_every_caption_the_same_score_retrieves_nothing() -> None:
    own = np.array([0, 1, 1, 2])
    assert ranks(np.zeros((4, 3)), own).tolist() == [3, 3, 3, 3]
    right = np.eye(3)[own]
    found = retrieval(right, own, [None] * 4, resamples=50)
    assert found.recall_at_1.estimate == 1
    assert found.captions_whose_nearest_image_has_them == 1
    assert found.commonest_caption == 0.5
    assert side_swap(np.ones(4), np.ones(4), [None] * 4, resamples=50).share.estimate == 0


def command(root: Path, out: Path, *more: str) -> list[str]:
    options = {
        "data.root": root, "data.size": 32, "data.batch_size": 6, "data.leaks": "keep",
        "objective": "clip", "encoder": "tiny", "trainer.max_epochs": 3,
        "trainer.accelerator": "cpu", "optimizer.lr": 0.001, "out": out,
    }  # fmt: skip
    return ["pretrain", *(f"--{name}={value}" for name, value in options.items()), *more]


def test_a_killed_run_goes_on_and_models_take_its_weights(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = subprocess.Popen(
        [sys.executable, "-m", "causalseg", *command(phantoms, broken)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 300
    while not (broken / "last.ckpt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    torch.set_num_threads(1)
    for out in (whole, broken):
        assert main(command(phantoms, out)) == 0
    assert "left and right exchanged" in capsys.readouterr().out
    name = f"clip-objective_tiny_{phantoms.name}.safetensors"
    first, second = load_file(whole / name), load_file(broken / name)
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], atol=1e-6, rtol=1e-5)
    other = PretrainConfig(data=DataConfig(root=phantoms), objective="gloria", out=str(whole))
    with pytest.raises(InputError, match=r"other options .*objective"):
        pretrain(other)

    report = json.loads((whole / "pretrain.json").read_text())
    assert str(tmp_path) not in json.dumps(report)
    assert report["trained_on"]["records"] == len(read_lvit(phantoms, "train"))
    found = report["validation"]["retrieval"]
    assert 0 <= found["recall_at_1"]["estimate"] <= found["recall_at_5"]["estimate"] <= 1
    assert pretrained_as(whole / name) == report

    weights = str(whole / name)
    for architecture in ("causalclipseg", "mcdrl", "convirt", "convirt_caption", "gloria"):
        model = build_model(architecture, encoder="tiny", weights=weights)
        taken = model.weights_report
        assert taken.loaded == taken.total > 0
        assert taken.source == f"{name}: pre-trained on the pairs of {phantoms.name}"
        assert torch.equal(model.image_tower.conv1.weight, first["visual.conv1.weight"])
    pair = ImageTextPair("tiny", "convirt")
    path = tmp_path / "convirt.safetensors"
    save_file(pair.tensors(), path, {"causalseg.pretrain": json.dumps(report | {"objective": "x"})})
    assert build_model("gloria", encoder="tiny", weights=str(path)).weights_report.loaded
    with pytest.raises(InputError, match="no dense joint space"):
        build_model("mcdrl", encoder="tiny", weights=str(path))
