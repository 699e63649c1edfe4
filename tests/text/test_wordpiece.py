"""WordPiece: hand-made vocabularies, and models that read captions by one."""

from pathlib import Path

import pytest
import torch

from causalseg import build_model
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import save_checkpoint
from causalseg.text.readers.base import reader_from_dict
from causalseg.text.readers.wordpiece import WordPiece, end_last

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "left", "lung", "##s", "upper", "infect", "##ion",
         ",", ".", "no"]  # fmt: skip
READER = WordPiece(end_last(WORDS), 6)


def words(text: str, reader: WordPiece = READER) -> list[str]:
    listed = reader.vocabulary.split("\n")
    return [listed[i] for i in reader([text])[0].tolist()]


def test_words_are_split_from_the_left_and_the_end_is_the_highest_id() -> None:
    assert words("Left LUNGS") == ["[CLS]", "left", "lung", "##s", "[SEP]", "[PAD]"]
    assert words("spleen") == ["[CLS]", "[UNK]", "[SEP]", *["[PAD]"] * 3]
    assert words("") == ["[CLS]", "[SEP]", *["[PAD]"] * 4]
    assert words("[SEP]")[1] == "[UNK]"  # a bracket that is written is no end
    assert READER(["left", "infections, left lung"]).argmax(1).tolist() == [2, 5]


def test_what_is_cut_is_told() -> None:
    text = "No infection,  LEFT lung."
    assert READER.lengths([text, ""]) == [9, 2]
    assert words(text) == ["[CLS]", "no", "infect", "##ion", ",", "[SEP]"]
    assert READER.lost(text) == "left lung."
    assert READER.lost("left lungs") == ""


def test_a_reader_comes_back_from_plain_data() -> None:
    assert reader_from_dict(READER.to_dict()) == READER


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("\n".join(WORDS), "each word once"),  # the end is not the last
        (end_last([*WORDS, "lung"]), "each word once"),
        (end_last(WORDS[2:]), "needs"),
        (end_last([*WORDS, "Lung"]), "uncased BERT"),
        (7, "needs"),
    ],
)
def test_other_vocabularies_are_refused(vocabulary: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        reader_from_dict({"name": "wordpiece", "vocabulary": vocabulary, "context_length": 6})


@pytest.mark.parametrize("name", ["lvit", "lavt", "vilt"])
def test_a_peer_reads_captions_by_a_berts_words(name: str, tmp_path: Path) -> None:
    given = tmp_path / "vocab.txt"
    given.write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(0)
    model = build_model(name, size="compact", vocabulary=str(given)).eval()
    reader = model.reader(12)
    tokens = reader(["left lung", "upper left lungs, no infection."])
    images = torch.randn(2, 3, 64, 64)
    other = tokens.clone()
    other[0, tokens[0].argmax() + 1 :] = WORDS.index("lung")
    with torch.inference_mode():
        logits = model(images, tokens).logits
        torch.testing.assert_close(model(images, other).logits, logits, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(model(images[:1], tokens[1:]).logits, logits[:1], atol=1e-5)
    preprocessing = Preprocessing(size=64, reader=reader).to_dict()
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, preprocessing=preprocessing, threshold=0.5, provenance={})
    given.unlink()  # the vocabulary is in the checkpoint
    assert torch.equal(Segmenter.load(path).preprocessing.tokens(["left lung"]), tokens[:1])


def test_a_vocabulary_of_more_words_than_the_tower_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*WORDS, *map(str, range(30522))]))
    model = build_model("vilt", size="compact", vocabulary=str(path))
    with pytest.raises(InputError, match="30535 words and this text tower 30522"):
        model.reader(12)
