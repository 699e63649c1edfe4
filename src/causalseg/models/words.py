"""What models that read a sentence word by word have in common."""

from torch import Tensor
from torch.nn import functional as F

from causalseg.encoders.transformer import WordTower
from causalseg.models.base import SegmentationModel, Text
from causalseg.text.batch import encode_distinct, up_to_eos


class WordModel(SegmentationModel):
    """A model whose text is the vectors of the words, and which of them belong to the sentence.

    The words come from the package's own text tower, so that such models differ in how they join
    text and image and not in their language model.
    """

    text_parts = ("text_tower",)
    text_tower: WordTower

    def encode_text(self, tokens: Tensor) -> Text:
        """CLIP token ids (T, L) -> words (T, L, C), and valid (T, L), bool.

        What follows a sentence's end is no word; L is the reader's, so that sentences of any
        length, encoded at different times, stand in one batch.
        """
        words = encode_distinct(self.text_tower, tokens)
        beyond = tokens.shape[1] - words.shape[1]  # the text tower stops at the longest end
        return F.pad(words, (0, 0, 0, beyond)), up_to_eos(tokens)

    def export_refusal(self) -> str:
        """An exported graph would hold for one number of texts only."""
        return "words of a sentence make a graph of one number of texts"
