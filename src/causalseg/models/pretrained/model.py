"""ConVIRT and GLoRIA as segmenters, as published, and variants that read the caption.

Both papers are about contrastive pre-training (`causalseg pretrain`); what follows is a U-Net on
their ResNet-50, which no longer uses the text. As published, the two are therefore one network with
different initial weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from causalseg.encoders.bert import text_tower, word_tower
from causalseg.encoders.config import CLIPConfig, ResNetConfig, encoder_config
from causalseg.encoders.normalisation import IMAGENET
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError
from causalseg.layers.blocks import upsample_to
from causalseg.models.base import (
    ImageOnlyModel,
    ModelConfig,
    SegmentationModel,
    Text,
    check_divisible,
)
from causalseg.models.folding import NormPair, prefixed, sequential_pairs
from causalseg.models.output import SegmentationOutput
from causalseg.models.pretrained.network import FiLM, ResNetDecoder, WordMaps
from causalseg.models.words import WordModel
from causalseg.text.batch import encode_distinct

WIDTHS = {"paper": (256, 128, 64, 32, 16), "compact": (96, 64, 32, 32, 16)}
LOCAL_STAGE = 3
"""Stage whose positions GLoRIA compares with words."""


@dataclass(frozen=True, kw_only=True)
class PretrainedConfig(ModelConfig):
    """Options of ConVIRT and GLoRIA as segmenters."""

    encoder: str = ""
    """Towers: ResNet50 (the papers'), RN50, RN101, compact or tiny; left out, those of `size`."""
    weights: str = "random"
    """Initial weights of the towers: a file of `causalseg pretrain`, `imagenet:FILE`, `random`."""

    def __post_init__(self) -> None:
        if not self.encoder:
            name = "compact" if self.size == "compact" else "ResNet50"
            object.__setattr__(self, "encoder", name)
        if not isinstance(self.towers.image, ResNetConfig):
            raise InputError(f"this model reads a ResNet's stages, and {self.encoder!r} is a ViT.")

    @property
    def towers(self) -> CLIPConfig:
        """Sizes of the towers."""
        return encoder_config(self.encoder)

    @property
    def stride(self) -> int:
        """How often the tower halves the image, as a factor."""
        assert isinstance(self.towers.image, ResNetConfig)
        return int(2 ** (len(self.towers.image.layers) + 1))

    def tower(self) -> ResNetTower:
        """The image tower."""
        assert isinstance(self.towers.image, ResNetConfig)
        return ResNetTower(self.towers.image)

    def decoder(self, channels: list[int]) -> ResNetDecoder:
        """The decoder for a tower's maps; its last steps where the tower has fewer."""
        return ResNetDecoder(channels, WIDTHS[self.size][-len(channels) :])


def _pairs(model: nn.Module, tower: ResNetTower) -> list[NormPair]:
    decoder = sequential_pairs(model.get_submodule("decoder"))
    return prefixed("image_tower", tower.fold_pairs()) + prefixed("decoder", decoder)


class ConVIRT(ImageOnlyModel):
    """ConVIRT (Zhang et al., MLHC 2022, https://arxiv.org/abs/2010.00747), as published.

    A U-Net on the ResNet-50 that ConVIRT pre-trains (`causalseg pretrain --objective convirt`,
    then `--model.weights FILE`): 32.52 M parameters. **No caption is read** once pre-training is
    over. The authors published no model code and no weights, and segment nothing; the U-Net is the
    protocol of later work. With random weights this is a plain U-Net and no ConVIRT.
    """

    config_class = PretrainedConfig
    paper_parameters = 32_521_105
    normalisation = IMAGENET
    image_parts = ("image_tower",)
    config: PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.image_tower = config.tower()
        self.decoder = config.decoder(self.image_tower.pyramid_channels())

    def initialise(self) -> None:
        """Fill the image tower from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, None, self.config.weights)

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised, sides that the tower's stride divides."""
        check_divisible(images, self.config.stride, type(self).__name__)
        return SegmentationOutput(self.decoder(self.image_tower.pyramid(images)))

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Those of the tower, and the decoder's."""
        return _pairs(self, self.image_tower)


class GLoRIA(ConVIRT):
    """GLoRIA (Huang et al., ICCV 2021, https://doi.org/10.1109/ICCV48922.2021.00391), as published.

    The same U-Net on the ResNet-50 that GLoRIA pre-trains (`causalseg pretrain --objective
    gloria`). **No caption is read** at test time, as in the authors' own segmentation code
    (Apache-2.0; nothing of it is here). Differs from it: the package's loss instead of focal plus
    log-Dice, so that rows of a table compare. Its checkpoints are on a file share and are not
    fetched.
    """


class CaptionConVIRT(SegmentationModel):
    """ConVIRT's U-Net with FiLM of the sentence at its deepest map: a variant of this package.

    A "text-guided ConVIRT" in a table may be this; how the published rows did it is unknown.
    """

    config_class = PretrainedConfig
    paper_parameters = 98_050_449
    normalisation = IMAGENET
    image_parts = ("image_tower",)
    text_parts = ("text_tower",)
    config: PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.image_tower = config.tower()
        self.text_tower = text_tower(config.towers.text, config.towers.embedding)
        channels = self.image_tower.pyramid_channels()
        self.film = FiLM(config.towers.embedding, channels[-1])
        self.decoder = config.decoder(channels)

    def initialise(self) -> None:
        """Fill the towers from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, self.text_tower, self.config.weights)

    def encode_image(self, images: Tensor) -> list[Tensor]:
        """The tower's maps."""
        check_divisible(images, self.config.stride, "ConVIRT")
        return self.image_tower.pyramid(images)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """CLIP token ids (T, L) -> tau (T, E)."""
        return encode_distinct(self.text_tower, tokens)

    def segment(self, features: list[Tensor], text: Text) -> SegmentationOutput:
        """Segment by tau (T, E)."""
        assert isinstance(text, Tensor)
        *skips, deepest = features
        return SegmentationOutput(self.decoder([*skips, self.film(deepest, text)]))

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Those of the tower, and the decoder's."""
        return _pairs(self, self.image_tower)


class CaptionGLoRIA(WordModel):
    """GLoRIA's U-Net with cosines between words and regions as maps: a variant of this package.

    Two maps of the third stage's positions, the cosine to the sentence and the largest to one of
    its words, are brought to the finest skip's size and join it.
    """

    config_class = PretrainedConfig
    paper_parameters = 96_211_921
    normalisation = IMAGENET
    image_parts = ("image_tower",)
    config: PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.image_tower = config.tower()
        self.text_tower = word_tower(config.towers.text)
        channels = self.image_tower.pyramid_channels()
        self.words = WordMaps(channels[LOCAL_STAGE], config.towers.text.width)
        channels[0] += WordMaps.MAPS
        self.decoder = config.decoder(channels)

    def initialise(self) -> None:
        """Fill the towers from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, self.text_tower, self.config.weights)

    def encode_image(self, images: Tensor) -> list[Tensor]:
        """The tower's maps."""
        check_divisible(images, self.config.stride, "GLoRIA")
        return self.image_tower.pyramid(images)

    def segment(self, features: list[Tensor], text: Text) -> SegmentationOutput:
        """Segment by words from `encode_text`."""
        words, valid = text
        finest, *rest = features
        cosines = upsample_to(self.words(features[LOCAL_STAGE], words, valid), finest)
        finest = torch.cat([finest.expand(len(words), -1, -1, -1), cosines], dim=1)
        return SegmentationOutput(self.decoder([finest, *rest]))

    def fold_pairs(self) -> list[NormPair]:
        """Those of the tower, and the decoder's."""
        return _pairs(self, self.image_tower)
