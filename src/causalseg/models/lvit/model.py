"""LViT as a model."""

from dataclasses import dataclass

from torch import Tensor

from causalseg.encoders.bert import word_tower
from causalseg.encoders.config import encoder_config
from causalseg.encoders.weights import initialise
from causalseg.models.base import Text, check_divisible, pair
from causalseg.models.folding import NormPair, prefixed, sequential_pairs
from causalseg.models.lvit import network
from causalseg.models.output import SegmentationOutput
from causalseg.models.words import WordConfig, WordModel
from causalseg.text.readers.base import TextReader

SIZES = {"paper": (64, "RN101"), "compact": (16, "compact")}
"""Channels of the first level, and the encoder whose text tower is used."""


@dataclass(frozen=True, kw_only=True)
class LViTConfig(WordConfig):
    """Options of LViT."""

    weights: str = "random"
    """Initial weights of the text tower: `random`, `openai:RN101`, a file of `pretrain`, or with a
    `vocabulary` the folder of a BERT."""
    resolution: int = 224
    """Image side in pixels that positions are learned for; they are resized for another."""
    positions: int = 24
    """Tokens of a sentence. The authors take 10, which cuts every caption of QaTa-COV19."""


class LViT(WordModel):
    """LViT (Li et al., IEEE TMI 2024, https://arxiv.org/abs/2206.14718).

    A U-Net, and beside it a U of one-layer vision transformers on its skips. The sentence enters
    once, as a bias of the finest level's patches that is the same for every image; a word's place
    in the sentence decides which patches it moves. 29.91 M parameters without the words, as the
    parts of the authors' code (MIT; this is written from its description) that a gradient
    reaches; that code builds 10 M more. Differs: words from the package's text tower, or from a
    BERT that is trained, instead of frozen BERT vectors, 24 of them instead of 10, logits instead
    of probabilities, any size that 16 divides. The semi-supervised parts (EPI, LV loss) are not
    here.
    """

    config_class = LViTConfig
    paper_parameters = 92_690_921
    config: LViTConfig

    def __init__(self, config: LViTConfig) -> None:
        super().__init__(config)
        width, encoder = SIZES[config.size]
        text = config.words(encoder_config(encoder).text)
        self.text_tower = word_tower(text)
        self.network = network.LViTNetwork(width, config.resolution, text.width, config.positions)

    def initialise(self) -> None:
        """Fill the text tower from the weights that the config names."""
        self.weights_report = initialise(None, self.text_tower, self.config.weights)

    def reader(self, context_length: int) -> TextReader:
        """CLIP's tokens or a BERT's, `positions` at most."""
        return self.config.word_reader(min(context_length, self.config.positions))

    def encode_image(self, images: Tensor) -> Tensor:
        """The images unchanged.

        Raises:
            InputError: a side is not a multiple of 16.

        """
        check_divisible(images, network.FINEST_PATCH, "LViT")
        return images

    def segment(self, features: Tensor, text: Text) -> SegmentationOutput:
        """Segment images (B or 1, 3, H, W) by words from `encode_text`."""
        words, valid = text
        return SegmentationOutput(self.network(pair(features, words), words, valid))

    def fold_pairs(self) -> list[NormPair]:
        """Every convolution that a batch norm follows."""
        return prefixed("network", sequential_pairs(self.network))
