"""What models that read a sentence word by word have in common."""

import torch
from torch import Tensor

from causalseg.encoders.transformer import WordTower
from causalseg.models.base import SegmentationModel, Text
from causalseg.text.batch import cut_at_eos, encode_distinct, up_to_eos


class WordModel(SegmentationModel):
    """A model whose text is the vectors of the words, and which of them belong to the sentence.

    The words come from the package's own text tower, so that such models differ in how they join
    text and image and not in their language model.
    """

    text_parts = ("text_tower",)
    text_tower: WordTower

    def encode_text(self, tokens: Tensor) -> Text:
        """CLIP token ids (T, L) -> words (T, L', C), and valid (T, L'), bool; L' at most L."""
        # A traced graph must not depend on its example's captions, and meta tensors have none.
        if torch.compiler.is_compiling() or tokens.is_meta:
            return self.text_tower(tokens), up_to_eos(tokens)
        tokens = cut_at_eos(tokens)
        return encode_distinct(self.text_tower, tokens), up_to_eos(tokens)

    def export_refusal(self) -> str:
        """An exported graph would hold for one number of texts only."""
        return "words of a sentence make a graph of one number of texts"
