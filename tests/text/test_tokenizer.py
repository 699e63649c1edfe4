import html
import importlib.util
import random
import unicodedata
from pathlib import Path

import ftfy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causalseg import tokenize
from causalseg.errors import InputError
from causalseg.text.tokenizer import EOS, SOS, clean, cut_text, token_lengths

# Token ids without [SOS] and [EOS], as OpenAI's SimpleTokenizer (open_clip's copy) gives them.
# fmt: off
GOLDEN = {
    '': [],
    'a': [320],
    'a photo of a cat': [320, 1125, 539, 320, 2368],
    'Bilateral pulmonary infection, two infected areas, upper left lung and all right lung.': [
        25599, 39132, 14774, 267, 1237, 26136, 5429, 267, 7067, 1823, 16271, 537, 615, 1155,
        16271, 269,
    ],
    'unilateral pulmonary infection, one infected area, lower right lung.': [
        32388, 18819, 39132, 14774, 267, 637, 26136, 2445, 267, 4909, 1155, 16271, 269,
    ],
    'No polyp visible.': [871, 6833, 335, 8626, 269],
    'one medium white round polyp, located in top left, center of the image': [
        637, 8675, 1579, 2522, 6833, 335, 267, 5677, 530, 1253, 1823, 267, 2119, 539, 518, 2867,
    ],
    'The nuclei are sparsely distributed.': [518, 25693, 328, 631, 3378, 8402, 16419, 269],
    "it's what I'LL say, don't": [585, 568, 768, 328, 1342, 1451, 267, 847, 713],
    '  tabs\tand\nlines  ': [29163, 537, 3418],
    '12345 mm, 3.5 cm': [272, 273, 274, 275, 276, 2848, 267, 274, 269, 276, 3741],
    '&amp;lt;b&amp;gt; &amp;amp;': [283, 321, 285, 261],
    'naÃ¯ve': [1097, 35689, 563],
    'naïve café': [1097, 35689, 563, 15304],
    '🫁 lung 👩\u200d👩\u200d👧': [558, 104, 479, 16271, 26304, 26304, 964, 356],
    '肺部感染': [164, 224, 118, 165, 225, 101, 162, 226, 253, 162, 253, 497],
    'Лёгкие': [47611, 141, 239, 140, 111, 27152, 29503, 369],
    'ﬁbrosis ½ ²': [36307, 33613, 41175],
    '!!!...??': [11194, 3002, 2197],
    'pneumonoultramicroscopicsilicovolcanoconiosis': [
        28714, 749, 20253, 9800, 535, 532, 1065, 901, 1556, 13697, 9916, 78, 39031, 13903,
    ],
    '\u200b\xa0x': [9844, 343],
    'İstanbul': [328, 16384, 11231],
}
# fmt: on

QATA_LONGEST = (
    "bilateral pulmonary infection, six infected areas, "
    "upper middle lower left lung and upper middle lower right lung."
)


def varied_texts() -> list[str]:
    """A few hundred strings from several scripts, of assigned characters only."""
    rng = random.Random(0)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x530), (0x600, 0x700), (0x900, 0x980)]
    blocks += [(0x2000, 0x2300), (0x4E00, 0x9FA0), (0xAC00, 0xD7A0), (0x1F300, 0x1F650)]
    texts = []
    for _ in range(400):
        block = rng.choice(blocks)
        letters = [chr(rng.randrange(*block)) for _ in range(rng.randrange(30))]
        texts.append("".join(letter for letter in letters if unicodedata.category(letter) != "Cn"))
    return [*texts, *GOLDEN, "x" * 3000, "lung " * 500, "&lt;" * 40, "'s'S 't'Re've'm'll'D"]


@pytest.mark.parametrize("text", GOLDEN)
def test_golden_ids(text: str) -> None:
    ids = [SOS, *GOLDEN[text], EOS]
    assert tokenize(text, len(ids)).tolist() == [ids]
    assert token_lengths(text) == [len(ids)]


def test_agrees_with_open_clip() -> None:
    pytest.importorskip("regex", reason="open_clip's tokenizer needs it (extra 'peers')")
    package = importlib.util.find_spec("open_clip")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("open_clip is absent (extra 'peers')")
    # Its tokenizer module alone: the package imports torchvision, which is not ours to require.
    path = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    peer = module.SimpleTokenizer()
    texts = varied_texts()
    assert torch.equal(tokenize(texts, 77), peer(texts, context_length=77))
    assert token_lengths(texts) == [len(peer.encode(text)) + 2 for text in texts]


def test_shape_padding_and_type() -> None:
    tokens = tokenize(["a cat", ""], 6)
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [[SOS, 320, 2368, EOS, 0, 0], [SOS, EOS, 0, 0, 0, 0]]
    assert tokenize([], 6).shape == (0, 6)


def test_cut_keeps_eos_and_names_the_loss() -> None:
    assert token_lengths(QATA_LONGEST) == [22]
    full, cut = tokenize(QATA_LONGEST, 22)[0], tokenize(QATA_LONGEST, 20)[0]
    assert cut[-1] == EOS
    assert torch.equal(cut[:-1], full[:19])
    assert cut_text(QATA_LONGEST, 22) == ""
    assert cut_text(QATA_LONGEST, 21) == "."
    assert cut_text(QATA_LONGEST, 20) == "lung."


def test_special_words_in_a_text_are_plain_text() -> None:
    for text in ("<end_of_text>", "<|endoftext|>", "<start_of_text>"):
        assert token_lengths(text)[0] > 3
        assert EOS not in tokenize(text, 20)[0, 1 : token_lengths(text)[0] - 1]


@pytest.mark.parametrize("length", [1, 0, -3])
def test_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(InputError, match="context_length"):
        tokenize("a", length)


def test_missing_value_is_refused() -> None:
    with pytest.raises(InputError, match="float"):
        tokenize(["a", float("nan")])  # type: ignore[list-item]


@given(st.text(max_size=60), st.integers(2, 40))
def test_every_row_is_one_sentence(text: str, length: int) -> None:
    row = tokenize(text, length)[0].tolist()
    end = row.index(EOS)
    assert row[0] == SOS
    assert end == min(token_lengths(text)[0], length) - 1
    assert all(0 <= token < SOS for token in row[1:end])
    assert row[end + 1 :] == [0] * (length - end - 1)
    assert bool(cut_text(text, length)) == (token_lengths(text)[0] > length)


@given(st.text(st.characters(max_codepoint=0x17F), max_size=40))
def test_cleaning_is_that_of_clip_where_mending_is_left_out_too(text):
    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    assert clean(text) == " ".join(mended.split()).lower()
