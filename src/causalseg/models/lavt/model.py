"""LAVT as a model."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from causalseg.encoders.bert import word_tower
from causalseg.encoders.config import ResNetConfig, encoder_config
from causalseg.encoders.normalisation import IMAGENET
from causalseg.encoders.swin import SwinSizes
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError
from causalseg.models.base import Text, check_divisible, pair
from causalseg.models.folding import NormPair, prefixed, sequential_pairs
from causalseg.models.lavt.network import LanguageFusion, ResNetBackbone, SwinBackbone
from causalseg.models.output import SegmentationOutput
from causalseg.models.words import WordConfig, WordModel
from causalseg.text.readers.base import TextReader

Backbone = Literal["swin-b", "swin-t", "resnet"]

SWIN = {
    "swin-b": SwinSizes(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), drop_path=0.3),
    "swin-t": SwinSizes(drop_path=0.3),
}
COMPACT_WIDTH = 64
"""Channels of the compact decoder."""


@dataclass(frozen=True, kw_only=True)
class LAVTConfig(WordConfig):
    """Options of LAVT."""

    backbone: Backbone | None = None
    """`swin-b` (the paper's), `swin-t`, or `resnet`: the package's residual stages, for which
    `imagenet:FILE` and the files of `pretrain` are weights. Left out: swin-b, compact: resnet."""
    encoder: str = ""
    """Sizes of the text tower, and of the residual stages: a name such as RN50, ResNet50, compact
    or tiny; left out, ResNet50, compact: compact."""
    weights: str = "random"
    """Initial weights: `random`, `openai:RN50`, `imagenet:FILE` or a local file. With a Swin
    backbone, for the text tower only; with a `vocabulary` the folder of a BERT."""

    def __post_init__(self) -> None:
        compact = self.size == "compact"
        if self.backbone is None:
            object.__setattr__(self, "backbone", "resnet" if compact else "swin-b")
        if not self.encoder:
            object.__setattr__(self, "encoder", "compact" if compact else "ResNet50")
        if self.backbone not in get_args(Backbone):
            raise InputError(
                f"backbone must be one of {', '.join(get_args(Backbone))}, not {self.backbone!r}."
            )
        if self.backbone == "resnet" and not isinstance(
            encoder_config(self.encoder).image, ResNetConfig
        ):
            raise InputError(f"encoder {self.encoder!r} is a ViT and has no residual stages.")


class LAVT(WordModel):
    """LAVT (Yang et al., CVPR 2022, https://arxiv.org/abs/2112.02244).

    After each stage of the image encoder every position attends to the words; what it finds gates
    the map that the next stage reads and is all that the decoder gets. With Swin-B 118.71 M
    parameters beside the text, as the authors' code has, less the 2.1 M of a gate after the last
    stage that nothing reads. That code is GPL; nothing of it is here, and this is written from the
    paper and a description. Differs: words from the package's text tower unless a BERT's
    `vocabulary` is named, one logit, weights at random unless named. `backbone="resnet"` puts the
    same fusion between the stages of a residual tower, for which weights exist.
    """

    config_class = LAVTConfig
    paper_parameters = 178_797_753
    normalisation = IMAGENET
    image_parts = ("image_tower",)
    config: LAVTConfig

    def __init__(self, config: LAVTConfig) -> None:
        super().__init__(config)
        encoder = encoder_config(config.encoder)
        text = config.words(encoder.text)
        self.text_tower = word_tower(text)
        self.image_tower: SwinBackbone | ResNetBackbone
        if config.backbone == "resnet":
            assert isinstance(encoder.image, ResNetConfig)
            self.image_tower = ResNetBackbone(encoder.image)
        else:
            self.image_tower = SwinBackbone(SWIN[str(config.backbone)])
        channels = self.image_tower.stage_channels
        width = COMPACT_WIDTH if config.size == "compact" else 4 * channels[0]
        if config.backbone == "resnet" and config.size == "paper":
            width = channels[0]  # a residual stage has four times the channels of its stem
        self.fusion = LanguageFusion(channels, text.width, width)

    def initialise(self) -> None:
        """Fill the towers from the weights that the config names."""
        image = self.image_tower if isinstance(self.image_tower, ResNetBackbone) else None
        self.weights_report = initialise(image, self.text_tower, self.config.weights)

    def reader(self, context_length: int) -> TextReader:
        """CLIP's tokens or a BERT's."""
        return self.config.word_reader(context_length)

    def encode_image(self, images: Tensor) -> Tensor:
        """The images unchanged: the words enter after the first stage.

        Raises:
            InputError: a side is not a multiple of the last stage's stride.

        """
        check_divisible(images, 2 ** (len(self.image_tower.stage_channels) + 1), "LAVT")
        return images

    def segment(self, features: Tensor, text: Text) -> SegmentationOutput:
        """Segment images (B or 1, 3, H, W) by words from `encode_text`."""
        words, valid = text
        logits = self.fusion(self.image_tower, pair(features, words), words, valid)
        return SegmentationOutput(logits)

    def fold_pairs(self) -> list[NormPair]:
        """Pairs of the residual stages and of the decoder."""
        tower = self.image_tower
        own = tower.fold_pairs() if isinstance(tower, ResNetBackbone) else []
        return prefixed("image_tower", own) + prefixed("fusion", sequential_pairs(self.fusion))
