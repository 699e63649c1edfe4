import json

import pytest
import torch
import yaml

from causalseg import build_model, tokenize
from causalseg.cli.main import main
from causalseg.encoders.config import encoder_config
from causalseg.encoders.transformer import TextTower
from causalseg.errors import InputError
from causalseg.models.mcdrl import dictionary as z
from causalseg.models.mcdrl.prompts import read_prompts
from causalseg.text.readers.clip import ClipTokens

CLIP = encoder_config("tiny")


@pytest.fixture
def tower():
    torch.manual_seed(0)
    return TextTower(CLIP.text, CLIP.embedding).eval()


def test_shipped_prompts_have_the_papers_sizes():
    endoscopy = read_prompts("endoscopy")
    assert (len(endoscopy.classes), len(endoscopy.domain_names)) == (5, 12)
    assert endoscopy.class_sentences()[0] == "A polyp in an endoscopic image"
    assert endoscopy.domain_sentences()[0] == "An endoscopy image with blur"
    assert endoscopy.class_domain_sentences()[1][0] == "A tumor with blur"
    chest = read_prompts("chest_xray")
    assert {"exposure", "projection", "device"} <= set(chest.domains)


def test_a_users_own_prompts(tmp_path):
    table = read_prompts("endoscopy").to_dict()
    table["domains"] = {"scanner": ["a 1.5 T scanner", "a 3 T scanner"]}
    path = tmp_path / "mri.yaml"
    path.write_text(yaml.safe_dump(table))
    model = build_model("mcdrl", encoder="tiny", prompts=str(path))
    assert model.confounders.shape == (2, CLIP.embedding)
    assert model.config.prompts["domains"] == {"scanner": ["a 1.5 T scanner", "a 3 T scanner"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": []}, "classes"),
        ({"classes": "polyp"}, "classes"),
        ({"domains": {"light": ["dark"]}}, "two or more"),
        ({"domains": {"a": ["dark"], "b": ["dark"]}}, "once"),
        ({"domain_template": "An image"}, "domain_template"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        read_prompts({**read_prompts("endoscopy").to_dict(), **change})


def test_absent_prompts_name_the_shipped_ones():
    with pytest.raises(InputError, match="chest_xray, endoscopy"):
        read_prompts("spleen")


def test_embeddings_are_the_text_towers(tower):
    sentences = ["An endoscopy image with blur", "blood"]
    alone = torch.cat([tower(tokenize([s], 77)) for s in sentences])
    torch.testing.assert_close(
        z.embed(tower, ClipTokens(77), sentences), alone.detach(), atol=1e-5, rtol=1e-4
    )
    with pytest.raises(InputError, match="tokens"):
        z.embed(tower, ClipTokens(77), ["blood " * 90])


def test_a_dictionary_file_is_readable_and_comes_back(tower, tmp_path):
    made = z.build_dictionary("tiny", "random", tower, read_prompts("endoscopy"))
    path = tmp_path / "z.json"
    z.save_dictionary(path, made)
    content = json.loads(path.read_text())
    assert len(content["vectors"]["An endoscopy image with blood"]) == CLIP.embedding
    assert content["text_encoder_sha256"] == z.fingerprint(tower)
    back = z.load_dictionary(path)
    assert back.prompts == made.prompts
    assert torch.equal(back.vectors, made.vectors)


def test_the_fingerprint_sees_every_weight(tower):
    before = z.fingerprint(tower)
    assert before == z.fingerprint(tower)
    with torch.no_grad():
        tower.ln_final.bias[3] += 1e-3
    assert z.fingerprint(tower) != before


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', '{"format": '])
def test_a_damaged_dictionary_is_refused(tmp_path, text):
    path = tmp_path / "z.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"z\.json"):
        z.load_dictionary(path)


def test_the_command_builds_what_a_model_of_the_same_weights_takes(tmp_path, capsys):
    torch.manual_seed(3)
    model = build_model("mcdrl", encoder="tiny", weights="random")
    path = tmp_path / "z.json"
    argv = ["confounders", "build", "--encoder", "tiny", "--weights", "random", "--seed", "3"]
    assert main([*argv, "--out", str(path)]) == 0
    assert torch.equal(z.load_dictionary(path).vectors, model.confounders)
    torch.manual_seed(3)
    again = build_model("mcdrl", encoder="tiny", weights="random", dictionary=str(path))
    assert torch.equal(again.confounders, model.confounders)
    with pytest.raises(InputError, match="another text encoder"):
        build_model("mcdrl", encoder="tiny", weights="random", dictionary=str(path))
    capsys.readouterr()
    assert main(["confounders", "show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "mean cosine" in shown
    assert "blood" in shown


def test_the_command_ends_with_one_sentence_for_absent_files(tmp_path, capsys):
    assert main(["confounders", "show", str(tmp_path / "none.json")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "none.json" in error


def test_shuffled_sentences_keep_every_word_and_irrelevant_ones_none_of_the_domains():
    prompts = read_prompts("endoscopy")
    proper = prompts.domain_sentences()
    mixed = z.sentences_for("shuffled", "domain", prompts, 0)
    assert sorted(" ".join(mixed).split()) == sorted(" ".join(proper).split())
    assert [len(s.split()) for s in mixed] == [len(s.split()) for s in proper]
    assert mixed != proper
    assert mixed != z.sentences_for("shuffled", "domain", prompts, 1)
    for template, count in (("domain", 12), ("class-domain", 60)):
        other = z.sentences_for("irrelevant", template, prompts, 0)
        assert len(set(other)) == count
        assert not any("endoscopy" in sentence for sentence in other)


def test_a_random_dictionary_has_the_texts_size_and_mean_norm(tower):
    text = z.build_dictionary("tiny", "random", tower, read_prompts("endoscopy")).vectors
    noise = z.gaussian(2000, text, 0)
    assert noise.norm(dim=1).mean() == pytest.approx(float(text.norm(dim=1).mean()), rel=0.05)
    assert torch.equal(z.gaussian(5, text, 7), z.gaussian(5, text, 7))


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": 3},
        {"encoder": ["tiny"]},
        {"weights": None},
        {"vectors": [[1.0]]},
        {"vectors": {}},
        {"vectors": None},
        {"vectors": {"a": "text"}},
        {"vectors": {"a": [1.0], "b": [1.0, 2.0]}},
        {"vectors": {"a": [1e300] * 128}},
        {"vectors": {"a": [10**400] * 128}},
    ],
)
def test_a_dictionary_with_a_false_field_is_refused(tmp_path, change):
    path = tmp_path / "z.json"
    content = {"format": z.DICTIONARY_FORMAT, "encoder": "tiny", "weights": "random"}
    content |= {"text_encoder_sha256": "0", "vectors": {"a": [0.5] * 128}}
    path.write_text(json.dumps(content))
    assert z.load_dictionary(path).prompts == ("a",)
    path.write_text(json.dumps(content | change))
    with pytest.raises(InputError):
        z.load_dictionary(path)


@pytest.mark.parametrize(
    "content",
    [
        "- a",
        "classes: [a, b]\n? [1]\n: 2",
        "1: 2\ntrue: 3",
        "a: &x 1\nb: *x",
        "\udcff",
    ],
)
def test_prompts_that_are_no_table_are_refused(tmp_path, content):
    path = tmp_path / "p.yaml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError):
        read_prompts(str(path))
