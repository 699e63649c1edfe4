"""What models that read a sentence word by word have in common."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from causalseg.encoders.config import BertConfig, TextConfig
from causalseg.encoders.tokens import text_reader
from causalseg.encoders.tower import Tower
from causalseg.models.base import ModelConfig, SegmentationModel, Text
from causalseg.text.batch import encode_distinct, up_to_eos
from causalseg.text.readers.base import TextReader
from causalseg.text.readers.clip import ClipTokens

BERTS = {"paper": BertConfig(), "compact": BertConfig(width=64, layers=4, heads=4)}
"""BERT-base, and a small one."""


@dataclass(frozen=True, kw_only=True)
class WordConfig(ModelConfig):
    """Options of models that read words."""

    vocabulary: str = ""
    """Read captions as the authors do: WordPiece tokens of this uncased BERT (its folder,
    `hf:ORG/NAME` or a vocab.txt), in place of CLIP's. It travels in the checkpoint. A text tower
    is then a BERT too, which `weights` fills where it names the same folder or repository."""

    def word_reader(self, context_length: int) -> TextReader:
        """Of the tokens that the model reads."""
        if not self.vocabulary:
            return ClipTokens(context_length)
        return text_reader(BERTS["paper"], self.vocabulary, context_length)

    def words(self, text: TextConfig | BertConfig) -> TextConfig | BertConfig:
        """Sizes of the text tower: a BERT's where captions are WordPiece, or else as given."""
        return BERTS[self.size] if self.vocabulary else text


class WordModel(SegmentationModel):
    """A model whose text is the vectors of the words, and which of them belong to the sentence.

    The words come from the package's own text tower, so that such models differ in how they join
    text and image and not in their language model.
    """

    text_parts = ("text_tower",)
    text_tower: Tower

    def encode_text(self, tokens: Tensor) -> Text:
        """Token ids (T, L) -> words (T, L, C), and valid (T, L), bool.

        What follows a sentence's end is no word; L is the reader's, so that sentences of any
        length, encoded at different times, stand in one batch.
        """
        words = encode_distinct(self.text_tower, tokens)
        beyond = tokens.shape[1] - words.shape[1]  # the text tower stops at the longest end
        return F.pad(words, (0, 0, 0, beyond)), up_to_eos(tokens)

    def export_refusal(self) -> str:
        """An exported graph would hold for one number of texts only."""
        return "words of a sentence make a graph of one number of texts"
