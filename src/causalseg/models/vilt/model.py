"""ViLT as a model."""

from dataclasses import dataclass

from torch import Tensor

from causalseg.encoders.normalisation import UNIT
from causalseg.models.base import SegmentationModel, Text, check_divisible, pair
from causalseg.models.folding import NormPair, sequential_pairs
from causalseg.models.output import SegmentationOutput
from causalseg.models.vilt import network
from causalseg.models.words import BERTS, WordConfig
from causalseg.text.batch import up_to_eos
from causalseg.text.readers.base import TextReader
from causalseg.text.tokenizer import VOCABULARY_SIZE

SIZES = {
    "paper": network.Sizes(),
    "compact": network.Sizes(patch=16, width=192, layers=6, heads=6, head=(64, 48, 32, 16)),
}


@dataclass(frozen=True, kw_only=True)
class ViLTConfig(WordConfig):
    """Options of ViLT."""

    resolution: int = 224
    """Image side in pixels that the positions are learned for; they are resized for another."""


class ViLT(SegmentationModel):
    """ViLT (Kim et al., ICML 2021, https://arxiv.org/abs/2102.03334) as a segmenter.

    One transformer over word and patch embeddings together, with no encoder of either before it.
    The paper has no segmenter: the image's tokens are laid on their grid and brought to full size
    by five steps of convolution and upsampling. Written from the description (the authors' code is
    Apache-2.0); 87.5 M parameters without word embedding and head. Differs: CLIP's tokens unless
    a BERT's `vocabulary` is named, and weights start at random, where the authors pre-train on four
    million pairs; of all models here it loses most by that. At 224 px the grid is 7 x 7 (`paper`)
    or 14 x 14 (`compact`, patches of 16).
    """

    config_class = ViLTConfig
    paper_parameters = 127_595_761
    normalisation = UNIT
    config: ViLTConfig

    def __init__(self, config: ViLTConfig) -> None:
        super().__init__(config)
        self.sizes = SIZES[config.size]
        words = BERTS["paper"].vocabulary if config.vocabulary else VOCABULARY_SIZE
        self.network = network.ViLTSegmenter(self.sizes, config.resolution, words)

    def reader(self, context_length: int) -> TextReader:
        """CLIP's tokens or a BERT's, at most 40."""
        return self.config.word_reader(min(context_length, network.POSITIONS))

    def encode_image(self, images: Tensor) -> Tensor:
        """The images unchanged: text and image meet in the first layer.

        Raises:
            InputError: a side is not a multiple of the patch.

        """
        check_divisible(images, self.sizes.patch, "ViLT")
        return images

    def segment(self, features: Tensor, text: Text) -> SegmentationOutput:
        """Segment images (B or 1, 3, H, W) by token ids (T, L)."""
        assert isinstance(text, Tensor)
        return SegmentationOutput(self.network(pair(features, text), text, up_to_eos(text)))

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Those of the head."""
        return sequential_pairs(self)
