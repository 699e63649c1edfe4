"""BiomedCLIP's kind of model: timm's ViT and a BERT with its WordPiece vocabulary."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from causalseg import build_model
from causalseg.encoders.bert import BertTower, BertWords
from causalseg.encoders.config import ENCODERS, BertConfig, CLIPConfig, TextConfig, ViTConfig
from causalseg.encoders.normalisation import CLIP
from causalseg.encoders.tokens import text_reader
from causalseg.encoders.transformer import TextTower
from causalseg.encoders.vit import VisionTransformer
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError
from causalseg.text.readers.wordpiece import WordPiece

LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "upper", "left", "lung", "infect", "##ion",
         *LETTERS, *(f"##{c}" for c in LETTERS)]  # fmt: skip
TEXTS = ["Upper left lungs.", "left", "Infection, quite odd", ""]
BERT = BertConfig(width=32, layers=2, heads=2, context_length=40, vocabulary=len(WORDS) + 3)
VIT = ViTConfig(patch=8, width=32, layers=2, heads=2, resolution=32, activation="gelu",
                style="timm")  # fmt: skip
SMALL = CLIPConfig(image=VIT, text=BERT, embedding=16)


def towers(seed: int) -> tuple[VisionTransformer, BertTower]:
    torch.manual_seed(seed)
    return VisionTransformer(VIT, 16).eval(), BertTower(BERT, 16).eval()


def open_clip_state() -> dict[str, Tensor]:
    """Random tensors under open_clip's names, as BiomedCLIP's file has them."""
    torch.manual_seed(0)
    state: dict[str, Any] = {"logit_scale": 1, "visual.head.proj.weight": (16, 32)}
    trunk, text = "visual.trunk", "text.transformer.embeddings"
    state |= {f"{trunk}.cls_token": (1, 1, 32), f"{trunk}.pos_embed": (1, 17, 32)}
    state |= {f"{trunk}.patch_embed.proj.weight": (32, 3, 8, 8)}
    state |= {f"{text}.word_embeddings.weight": (BERT.vocabulary, 32)}
    state |= {f"{text}.position_embeddings.weight": (40, 32), "text.proj.0.weight": (24, 32)}
    state |= {f"{text}.token_type_embeddings.weight": (2, 32), "text.proj.2.weight": (16, 24)}
    linear = {f"{trunk}.norm": 32, f"{text}.LayerNorm": 32}
    state[f"{trunk}.patch_embed.proj.bias"] = 32
    for i in range(2):
        block, layer = f"{trunk}.blocks.{i}", f"text.transformer.encoder.layer.{i}"
        linear |= {f"{block}.norm1": 32, f"{block}.norm2": 32, f"{block}.attn.qkv": (96, 32)}
        linear |= {f"{block}.attn.proj": (32, 32), f"{block}.mlp.fc1": (128, 32)}
        linear |= {f"{block}.mlp.fc2": (32, 128), f"{layer}.intermediate.dense": (128, 32)}
        linear |= {f"{layer}.attention.self.{n}": (32, 32) for n in ("query", "key", "value")}
        linear |= {f"{layer}.attention.output.dense": (32, 32), f"{layer}.output.dense": (32, 128)}
        linear |= {f"{layer}.attention.output.LayerNorm": 32, f"{layer}.output.LayerNorm": 32}
    for name, shape in linear.items():
        state |= {f"{name}.weight": shape}
        state |= {f"{name}.bias": shape if isinstance(shape, int) else shape[0]}
    return {name: torch.randn(shape) * 0.1 for name, shape in state.items()}


def folder(path: Path, state: dict[str, Tensor] | None = None, **text: Any) -> Path:
    path.mkdir()
    vision = {"timm_model_name": "vit_base_patch16_224", "timm_pool": "", "timm_proj": "linear"}
    text = {"hf_model_name": "BiomedBERT", "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler"} | text  # fmt: skip
    content = {
        "model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": list(CLIP.mean), "std": list(CLIP.std)},
    }
    (path / "open_clip_config.json").write_text(json.dumps(content))
    (path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.save(state or open_clip_state(), path / "open_clip_pytorch_model.bin")
    return path


def test_every_tensor_finds_its_place(tmp_path: Path) -> None:
    state = open_clip_state()
    image, text = towers(1)
    given = folder(tmp_path / "biomed", state)
    report = initialise(image, text, str(given))
    assert report.loaded == report.total == len(image.state_dict()) + len(text.state_dict())
    assert report.source == "biomed (open_clip)"
    table = state["text.transformer.embeddings.word_embeddings.weight"]
    reader = text_reader(BERT, str(given), 12)
    ours = text.token_embedding(reader(["upper lung"]))[0, :4]
    assert torch.equal(ours, table[[WORDS.index(w) for w in ("[CLS]", "upper", "lung", "[SEP]")]])
    qkv = image.transformer.resblocks[1].attn.in_proj_weight
    assert torch.equal(qkv, state["visual.trunk.blocks.1.attn.qkv.weight"])
    words = BertWords(BERT)
    initialise(None, words, str(given))
    tokens = reader(TEXTS)
    torch.testing.assert_close(text.sentence(words(tokens), tokens), text(tokens))


def test_what_follows_the_end_reaches_no_word() -> None:
    text = towers(0)[1]
    reader = WordPiece(text_reader_vocabulary(), 12)
    tokens = reader(TEXTS)
    ends = tokens.argmax(1)
    assert (tokens.gather(1, ends[:, None]) == len(WORDS) - 1).all()
    other = tokens.clone()
    for row, end in enumerate(ends.tolist()):
        other[row, end + 1 :] = 7
    with torch.no_grad():
        found, alone = text(other), torch.cat([text(reader([t])) for t in TEXTS])
    torch.testing.assert_close(found, text(tokens))
    torch.testing.assert_close(found, alone)


def text_reader_vocabulary() -> str:
    return "\n".join([w for w in WORDS if w != "[SEP]"] + ["[SEP]"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hf_pooler_type": "mean_pooler"}, "otherwise than BiomedCLIP"),
        ({"hf_proj_type": "linear"}, "otherwise than BiomedCLIP"),
        ({"hf_model_name": "roberta-base"}, "the towers vit_base_patch16_224 and roberta-base"),
    ],
)
def test_other_ends_of_the_towers_are_refused(
    changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        initialise(*towers(0), str(folder(tmp_path / "biomed", **changes)))


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    given = folder(tmp_path / "biomed")
    clip = TextTower(TextConfig(width=32, layers=1, heads=2, activation="gelu"), 16)
    with pytest.raises(InputError, match=r"a BERT text tower and this model's is CLIP's"):
        initialise(None, clip, str(given))
    with pytest.raises(InputError, match="has no vocabulary of them"):
        text_reader(BERT, "random", 12)
    (given / "vocab.txt").unlink()
    with pytest.raises(InputError, match="has no vocabulary: neither"):
        initialise(*towers(0), str(given))
    torch.save({"visual.trunk.pos_embed": torch.tensor(1.0)}, given / "open_clip_pytorch_model.bin")
    (given / "vocab.txt").write_text("\n".join(WORDS))
    with pytest.raises(InputError, match="is damaged"):
        initialise(*towers(0), str(given))


def test_mcdrl_and_pre_training_take_its_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "BiomedCLIP", SMALL)
    given = str(folder(tmp_path / "biomed"))
    model = build_model("mcdrl", encoder="BiomedCLIP", weights=given, heads=2).eval()
    image, text = towers(1)
    initialise(image, text, given)
    sentences = model.config.prompt_table.class_sentences()
    reader = text_reader(BERT, given, 40)
    with torch.no_grad():
        torch.testing.assert_close(model.classes, text(reader(sentences)))
        assert model(torch.randn(1, 3, 32, 32)).logits.shape == (1, 1, 32, 32)
    # A file of `causalseg pretrain` says in its header which words it reads.
    saved = tmp_path / "clip.safetensors"
    header = {"causalseg.pretrain": json.dumps({"data": "d", "vocabulary": reader.vocabulary})}
    state = {f"visual.{k}": v for k, v in image.state_dict().items()} | text.state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, saved, header)
    again = build_model("mcdrl", encoder="BiomedCLIP", weights=str(saved), heads=2)
    assert torch.equal(again.classes, model.classes)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small model of BiomedCLIP's kind that open_clip made, and the folder of its BERT."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):  # a CPU torch without torchvision lacks the operator
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:
            break  # torchvision is really there
    open_clip = pytest.importorskip("open_clip")
    transformers = pytest.importorskip("transformers")
    bert = tmp_path_factory.mktemp("BERT")
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    transformers.BertConfig(
        **shape, intermediate_size=128, vocab_size=len(WORDS), max_position_embeddings=40
    ).save_pretrained(bert)
    torch.manual_seed(0)
    model = open_clip.model.CustomTextCLIP(
        embed_dim=16,
        vision_cfg={"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "",
                    "timm_proj": "linear", "image_size": 224},
        text_cfg={"hf_model_name": str(bert), "hf_model_pretrained": False, "hf_proj_type": "mlp",
                  "hf_pooler_type": "cls_last_hidden_state_pooler"},
    ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # no bias stays zero
    (bert / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    yield model, bert
    del library


@torch.no_grad()
def test_open_clips_own_model_computes_the_same(peer: Any, tmp_path: Path) -> None:
    theirs, bert = peer
    given = folder(tmp_path / "theirs", theirs.state_dict())
    image = VisionTransformer(
        ViTConfig(patch=16, width=192, layers=12, heads=3, activation="gelu", style="timm"), 16
    ).eval()
    text = BertTower(BertConfig(width=32, layers=2, heads=2, context_length=40,
                                vocabulary=len(WORDS)), 16).eval()  # fmt: skip
    report = initialise(image, text, str(given))
    assert report.loaded == report.total
    pixels = torch.randn(1, 3, 224, 224)
    patches = theirs.visual.trunk.forward_features(pixels)[:, 1:]
    dense = image(pixels)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(dense, theirs.visual.head(patches), atol=1e-4, rtol=1e-4)
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.BertTokenizer(str(bert / "vocab.txt"))
    ids = tokenizer(TEXTS, padding="max_length", max_length=24, truncation=True)["input_ids"]
    reader = text_reader(text.config, str(given), 24)
    words = reader.vocabulary.split("\n")
    assert [[words[i] for i in row if i] for row in reader(TEXTS).tolist()] == [
        [WORDS[i] for i in row if i] for row in ids
    ]
    said = theirs.encode_text(torch.tensor(ids))
    torch.testing.assert_close(text(reader(TEXTS)), said, atol=1e-5, rtol=1e-4)


def test_a_bert_of_transformers_fills_a_word_tower(peer: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    bert = peer[1]
    theirs = transformers.BertModel(transformers.BertConfig.from_pretrained(bert)).eval()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    config = BertConfig(width=32, layers=2, heads=2, context_length=40, vocabulary=len(WORDS))
    words = BertWords(config).eval()
    initialise(None, words, str(tmp_path))
    tokens = text_reader(config, str(tmp_path), 24)(TEXTS)
    order = torch.tensor([*(i for i, w in enumerate(WORDS) if w != "[SEP]"), WORDS.index("[SEP]")])
    with torch.no_grad():
        found = theirs(order[tokens], attention_mask=(tokens > 0).long()).last_hidden_state
        torch.testing.assert_close(words(tokens)[tokens > 0], found[tokens > 0], atol=1e-5, rtol=0)
