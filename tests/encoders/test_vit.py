import pytest
import torch
from safetensors.torch import save_file

from causalseg.encoders.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig
from causalseg.encoders.dense import DenseResNet, dense_stride, dense_tower
from causalseg.encoders.transformer import TextTower
from causalseg.encoders.vit import VisionTransformer
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError

TEXT = TextConfig(width=16, layers=1, heads=2, context_length=8, vocabulary=32)
VIT = CLIPConfig(
    image=ViTConfig(patch=4, width=16, layers=3, heads=2, resolution=16), text=TEXT, embedding=8
)
RESNET = CLIPConfig(image=ResNetConfig(layers=(1, 1, 1), width=8), text=TEXT, embedding=8)


def openai_vit_names(layers):
    block = [
        f"{part}.{kind}"
        for part in ("ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
        for kind in ("weight", "bias")
    ] + ["attn.in_proj_weight", "attn.in_proj_bias"]
    return {
        "class_embedding",
        "positional_embedding",
        "proj",
        "conv1.weight",
        *(f"{ln}.{kind}" for ln in ("ln_pre", "ln_post") for kind in ("weight", "bias")),
        *(f"transformer.resblocks.{i}.{name}" for i in range(layers) for name in block),
    }


def test_names_and_shapes_are_openais():
    tower = dense_tower(VIT)
    assert set(tower.state_dict()) == openai_vit_names(3)
    assert tower.state_dict()["proj"].shape == (16, 8)
    assert tower.state_dict()["positional_embedding"].shape == (17, 16)


def reference(tower, image, *, maskclip):
    """One image through CLIP's formulas, with torch's own attention."""
    state, heads = tower.state_dict(), tower.config.heads
    patches = [
        image[:, i : i + 4, j : j + 4].flatten() for i in range(0, 16, 4) for j in range(0, 16, 4)
    ]
    tokens = torch.stack(patches) @ state["conv1.weight"].flatten(1).T
    x = torch.cat([state["class_embedding"][None], tokens]) + state["positional_embedding"]
    x = tower.ln_pre(x)
    for i, block in enumerate(tower.transformer.resblocks):
        normed = block.ln_1(x)
        if maskclip and i == len(tower.transformer.resblocks) - 1:
            v = normed @ block.attn.in_proj_weight[32:].T + block.attn.in_proj_bias[32:]
            x = x + block.attn.out_proj(v)
        else:
            x = x + block.attn(normed[:, None], normed[:, None], normed[:, None])[0][:, 0]
        hidden = block.mlp.c_fc(block.ln_2(x))
        x = x + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
    assert heads == 2
    return tower.ln_post(x[1:]) @ tower.proj


@torch.no_grad()
def test_features_agree_with_the_formulas():
    torch.manual_seed(0)
    tower = VisionTransformer(VIT.image, 8).eval()
    for name, parameter in tower.named_parameters():
        if "bias" in name:
            parameter.normal_()
    images = torch.randn(2, 3, 16, 16)
    plain, local = tower(images)
    for i, image in enumerate(images):
        for found, maskclip in ((plain, False), (local, True)):
            wanted = reference(tower, image, maskclip=maskclip)
            torch.testing.assert_close(found[i].flatten(1).T, wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, local)


@torch.no_grad()
def test_positions_are_resized_for_other_sizes_and_odd_sizes_are_refused():
    tower = VisionTransformer(VIT.image, 8).eval()
    assert tower.positions(4, 4) is tower.positional_embedding
    assert tower(torch.randn(1, 3, 24, 16))[0].shape == (1, 8, 6, 4)
    constant = torch.ones_like(tower.positional_embedding)
    tower.positional_embedding.copy_(constant)
    torch.testing.assert_close(tower.positions(7, 5), torch.ones(36, 16))
    with pytest.raises(InputError, match="4 pixels"):
        tower(torch.randn(1, 3, 18, 16))


def save_clip(path, config, **extra):
    torch.manual_seed(5)
    image, text = dense_tower(config), TextTower(config.text, config.embedding)
    state = {f"visual.{k}": v for k, v in image.state_dict().items()} | text.state_dict()
    save_file({k: v.clone() for k, v in (state | extra).items()}, path)
    return image


@pytest.mark.parametrize("config", [VIT, RESNET])
def test_a_clip_file_loads_strictly(tmp_path, config):
    unused = {
        "visual.attnpool.positional_embedding": torch.randn(5, 128),
        "visual.attnpool.q_proj.weight": torch.randn(128, 128),
        "visual.attnpool.k_proj.bias": torch.randn(128),
    }
    extra = {"logit_scale": torch.ones(1)} | (unused if config is RESNET else {})
    saved = save_clip(tmp_path / "clip.safetensors", config, **extra)
    torch.manual_seed(6)
    tower, text = dense_tower(config), TextTower(config.text, config.embedding)
    report = initialise(tower, text, str(tmp_path / "clip.safetensors"))
    assert report.loaded == report.total
    for name, value in saved.state_dict().items():
        assert torch.equal(tower.state_dict()[name], value)


def test_the_value_path_must_be_in_the_file(tmp_path):
    path = tmp_path / "clip.safetensors"
    save_clip(path, RESNET, **{"visual.attnpool.mystery": torch.ones(1)})
    tower, text = dense_tower(RESNET), TextTower(TEXT, 8)
    with pytest.raises(InputError, match=r"attnpool\.mystery"):
        initialise(tower, text, str(path))
    save_clip(path, VIT)
    with pytest.raises(InputError, match="does not fit the image tower"):
        initialise(tower, text, str(path))


@torch.no_grad()
def test_the_dense_resnet_projects_each_position_of_its_last_stage():
    tower = DenseResNet(RESNET.image, 8).eval()
    images = torch.randn(1, 3, 32, 32)
    dense, local = tower(images)
    stages = super(DenseResNet, tower).forward(images)
    pool = tower.attnpool
    wanted = pool.c_proj(pool.v_proj(stages[3][0, :, 1, 0]))
    torch.testing.assert_close(dense[0, :, 1, 0], wanted, atol=1e-5, rtol=1e-4)
    assert dense.shape == (1, 8, 2, 2)
    assert local is dense
    assert (dense_stride(RESNET), dense_stride(VIT)) == (16, 4)
