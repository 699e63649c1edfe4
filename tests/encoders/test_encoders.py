"""Towers and the loading of their weights, from files made in the official format."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from causalseg import build_model, tokenize
from causalseg.encoders.config import ENCODERS, ResNetConfig, TextConfig
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.transformer import TextTower
from causalseg.encoders.weights import initialise, read_state
from causalseg.errors import InputError
from causalseg.files import sha256_of


def towers() -> tuple[ResNetTower, TextTower]:
    torch.manual_seed(3)
    encoder = ENCODERS["tiny"]
    assert isinstance(encoder.image, ResNetConfig)
    return ResNetTower(encoder.image), TextTower(encoder.text, encoder.embedding)


def official_state() -> dict[str, torch.Tensor]:
    """A state dict as OpenAI's archive has it: half precision, `visual.`, extra entries."""
    image, text = towers()
    state = {f"visual.{k}": v for k, v in image.state_dict().items()} | text.state_dict()
    state |= {
        "visual.attnpool.positional_embedding": torch.randn(5, 512),
        "logit_scale": torch.tensor(4.6),
        "input_resolution": torch.tensor(64),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


class Archive(torch.nn.Module):
    """A TorchScript module whose state dict has OpenAI's names."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, tensor in state.items():
            *path, leaf = name.split(".")
            owner: torch.nn.Module = self
            for part in path:
                if not hasattr(owner, part):
                    owner.add_module(part, torch.nn.Module())
                owner = getattr(owner, part)
            owner.register_buffer(leaf, tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.parametrize("form", ["safetensors", "state_dict", "torchscript"])
def test_clip_weights_load_from_every_form(form: str, tmp_path: Path) -> None:
    state = official_state()
    path = tmp_path / f"clip.{'safetensors' if form == 'safetensors' else 'pt'}"
    if form == "safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    elif form == "state_dict":
        torch.save(state, path)
    else:
        torch.jit.script(Archive(state)).save(str(path))
    image, text = towers()
    for p in (*image.parameters(), *text.parameters()):
        torch.nn.init.zeros_(p)
    report = initialise(image, text, str(path))
    assert report.sha256 == sha256_of(path)
    assert report.loaded == report.total == len(image.state_dict()) + len(text.state_dict())
    torch.testing.assert_close(image.conv1.weight, state["visual.conv1.weight"].float())
    torch.testing.assert_close(text.text_projection, state["text_projection"].float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("visual.layer2.0.conv1.weight"), "1 missing .first: layer2.0.conv1"),
        (lambda s: s.update({"visual.extra": torch.zeros(1)}), "1 unexpected .first: extra"),
        (lambda s: s.update({"ln_final.bias": torch.zeros(3)}), "text tower: 1 of another shape"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message: str, tmp_path: Path) -> None:
    state = official_state()
    change(state)
    torch.save(state, tmp_path / "clip.pt")
    with pytest.raises(InputError, match=message):
        initialise(*towers(), str(tmp_path / "clip.pt"))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle that would run code is refused, and does not run."""

    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"a": Harm()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="without running code"):
        read_state(tmp_path / "evil.pt")
    assert not (tmp_path / "harmed").exists()


def test_absent_files_and_unknown_names() -> None:
    with pytest.raises(InputError, match=r"no weights file nowhere\.pt"):
        build_model("causalclipseg", encoder="tiny", weights="nowhere.pt")
    with pytest.raises(InputError, match="no weights openai:RN7"):
        build_model("causalclipseg", encoder="tiny", weights="openai:RN7")


def test_offline_says_what_to_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"download open_clip_model.safetensors of .*resnet101"):
        build_model("causalclipseg", encoder="tiny", weights="openai:RN101")


def test_imagenet_takes_what_fits_and_says_how_much(tmp_path: Path) -> None:
    image, text = towers()
    source = {k: torch.full_like(v, 2) for k, v in image.state_dict().items()}
    source["conv1.weight"] = torch.zeros(64, 3, 7, 7)  # another stem
    source["fc.weight"] = torch.zeros(10, 10)
    save_file(source, tmp_path / "resnet.safetensors")
    report = initialise(image, text, f"imagenet:{tmp_path / 'resnet.safetensors'}")
    assert report.loaded == len(image.state_dict()) - 1
    assert (image.layer1[0].conv1.weight == 2).all()
    assert not (image.conv1.weight == 0).all()


def test_short_sequences_equal_long_ones() -> None:
    """Causal attention: padding after [EOS] changes nothing, so positions may be sliced."""
    _, text = towers()
    text.eval()
    with torch.inference_mode():
        short, long = (text(tokenize(["left lung", "a"], n)) for n in (6, 77))
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-4)


def test_too_many_tokens_are_refused() -> None:
    tower = TextTower(TextConfig(width=8, layers=1, heads=1, context_length=5), 4)
    with pytest.raises(InputError, match="6 tokens do not fit"):
        tower(torch.ones(1, 6, dtype=torch.int64))


@pytest.mark.parametrize("style", ["clip", "imagenet"])
def test_stage_sizes(style: str) -> None:
    tower = ResNetTower(ResNetConfig(layers=(1, 1, 1, 1), width=8, style=style))
    maps = tower(torch.randn(1, 3, 64, 64))
    assert {s: tuple(m.shape[1:]) for s, m in maps.items()} == {
        2: (64, 8, 8),
        3: (128, 4, 4),
        4: (256, 2, 2),
    }
    assert tower.channels == {2: 64, 3: 128, 4: 256}


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        config = ResNetConfig(layers=(1, 1), width=8)
        tower = ResNetTower(config, gradient_checkpointing=recompute).double()
        tower(torch.randn(2, 3, 32, 32, dtype=torch.float64))[2].square().mean().backward()
        gradients.append(tower.conv1.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_rn101_has_openais_sizes() -> None:
    """Shapes that OpenAI's RN101 archive has, on the meta device."""
    with torch.device("meta"):
        config = ENCODERS["RN101"]
        assert isinstance(config.image, ResNetConfig)
        image, text = ResNetTower(config.image), TextTower(config.text, config.embedding)
    assert image.get_parameter("layer3.22.conv3.weight").shape == (1024, 256, 1, 1)
    assert image.get_parameter("layer4.0.downsample.0.weight").shape == (2048, 1024, 1, 1)
    assert text.token_embedding.weight.shape == (49408, 512)
    assert text.get_parameter("transformer.resblocks.11.mlp.c_fc.weight").shape == (2048, 512)
    assert image.channels == {2: 512, 3: 1024, 4: 2048}


def moves(config: TextConfig) -> tuple[float, float, float]:
    """How far tau moves when a caption's words are reversed, and when side or height changes."""
    caption = "unilateral pulmonary infection, one infected area, upper left lung."
    others = [
        " ".join(reversed(caption.split())),
        caption.replace("left", "right"),
        caption.replace("upper", "lower"),
    ]
    distances = []
    for seed in range(8):
        torch.manual_seed(seed)
        with torch.no_grad():
            tau = TextTower(config, 64)(tokenize([caption, *others], 24))
        distances.append((tau[1:] - tau[0]).norm(dim=1))
    order, side, height = torch.stack(distances).mean(0).tolist()
    return order, side, height


def test_tiny_text_starts_as_a_bag_of_words() -> None:
    order, side, height = moves(ENCODERS["tiny"].text)
    assert 2 * order < min(side, height)
    # Neither kind of word outweighs the other, so that neither hides the other in training.
    assert 0.8 < side / height < 1.25


def test_with_clips_initial_weights_order_outweighs_words() -> None:
    order, side, height = moves(TextConfig(width=64, layers=3, heads=4))
    assert order > max(side, height)
