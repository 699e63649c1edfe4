"""TGANet as published, and a variant that reads the caption."""

from dataclasses import dataclass

from torch import Tensor, nn

from causalseg.encoders.bert import text_tower
from causalseg.encoders.config import CLIPConfig, ResNetConfig, encoder_config
from causalseg.encoders.normalisation import IMAGENET
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError
from causalseg.models.base import (
    ImageOnlyModel,
    ModelConfig,
    SegmentationModel,
    Text,
    check_divisible,
)
from causalseg.models.folding import NormPair, prefixed, sequential_pairs
from causalseg.models.output import SegmentationOutput
from causalseg.models.tganet.network import LabelWords, TextGuidedDecoder
from causalseg.models.tganet.objective import LabelledLoss
from causalseg.text.batch import encode_distinct

WIDTHS = {"paper": 128, "compact": 24}
STAGES = 3
STRIDE = 16


@dataclass(frozen=True, kw_only=True)
class TGANetConfig(ModelConfig):
    """Options of TGANet."""

    encoder: str = ""
    """Residual tower: ResNet50 (the paper's), RN50, RN101, compact or tiny; left out, that of
    `size`. Its first three stages are used."""
    weights: str = "random"
    """Initial weights of the towers: `random`, `imagenet:FILE` (the paper's) or a local file."""

    def __post_init__(self) -> None:
        if not self.encoder:
            name = "compact" if self.size == "compact" else "ResNet50"
            object.__setattr__(self, "encoder", name)
        if not isinstance(self.towers.image, ResNetConfig):
            raise InputError(f"TGANet reads a ResNet's stages, and {self.encoder!r} is a ViT.")

    @property
    def towers(self) -> CLIPConfig:
        """Sizes of the towers."""
        return encoder_config(self.encoder)


class ShortTower(ResNetTower):
    """A residual tower without its last stage, which a file of the whole tower holds."""

    unused_weights = ("attnpool.", "layer4.")


def _tower(config: TGANetConfig) -> ShortTower:
    image = config.towers.image
    assert isinstance(image, ResNetConfig)
    return ShortTower(
        ResNetConfig(layers=image.layers[:STAGES], width=image.width, style=image.style)
    )


def _pairs(model: nn.Module, tower: ResNetTower) -> list[NormPair]:
    """Those of the tower, and the decoder's."""
    decoder = sequential_pairs(model.get_submodule("decoder"))
    return prefixed("image_tower", tower.fold_pairs()) + prefixed("decoder", decoder)


class TGANet(ImageOnlyModel):
    """TGANet (Tomar et al., MICCAI 2022, https://arxiv.org/abs/2205.04280).

    Number and size of the findings are predicted from the image; the predicted classes weigh five
    word embeddings, the same five for every image, whose mixture steers the decoder's channels.
    Text is thus a label made of the training mask, and **no caption is read**. 19.84 M parameters,
    as the authors' code has ("research and education only"; nothing of it is here, this is written
    from a description). Differs: the fusion of the three decoder steps is this package's reading,
    word embeddings are learned instead of BPEmb's, the losses of number and size take logits
    (the authors give softmax outputs to a second softmax), and the largest region's box decides
    the size, not the last's.
    """

    config_class = TGANetConfig
    paper_parameters = 19_844_299
    normalisation = IMAGENET
    image_parts = ("image_tower",)
    config: TGANetConfig

    def __init__(self, config: TGANetConfig) -> None:
        super().__init__(config)
        self.image_tower = _tower(config)
        channels, width = self.image_tower.pyramid_channels(), WIDTHS[config.size]
        self.label = LabelWords(channels[-1], width)
        self.decoder = TextGuidedDecoder(channels, width)

    def initialise(self) -> None:
        """Fill the image tower from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, None, self.config.weights)

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised, sides that 16 divides."""
        check_divisible(images, STRIDE, "TGANet")
        maps = self.image_tower.pyramid(images)
        count, size, label = self.label(maps[-1])
        auxiliary = {"count": count, "size": size} if self.training else {}
        return SegmentationOutput(self.decoder(maps, label), auxiliary=auxiliary)

    def objective(self) -> LabelledLoss:
        """The mask's loss plus that of number and size."""
        return LabelledLoss()

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Those of the tower, and the decoder's."""
        return _pairs(self, self.image_tower)


class CaptionTGANet(SegmentationModel):
    """TGANet's network steered by the caption: a variant of this package, not of the paper.

    The sentence's feature takes the place of the mixture of label words; nothing predicts number
    or size. All texts of an image share its tower and dilated maps.
    """

    config_class = TGANetConfig
    paper_parameters = 82_865_391
    normalisation = IMAGENET
    image_parts = ("image_tower",)
    text_parts = ("text_tower",)
    config: TGANetConfig

    def __init__(self, config: TGANetConfig) -> None:
        super().__init__(config)
        towers, width = config.towers, WIDTHS[config.size]
        self.image_tower = _tower(config)
        self.text_tower = text_tower(towers.text, towers.embedding)
        self.label = nn.Linear(towers.embedding, width)
        self.decoder = TextGuidedDecoder(self.image_tower.pyramid_channels(), width)

    def initialise(self) -> None:
        """Fill the towers from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, self.text_tower, self.config.weights)

    def encode_image(self, images: Tensor) -> list[Tensor]:
        """The tower's maps after their dilated blocks."""
        check_divisible(images, STRIDE, "TGANet")
        return self.decoder.encode(self.image_tower.pyramid(images))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """CLIP token ids (T, L) -> tau (T, E)."""
        return encode_distinct(self.text_tower, tokens)

    def segment(self, features: list[Tensor], text: Text) -> SegmentationOutput:
        """Segment by tau (T, E)."""
        assert isinstance(text, Tensor)
        return SegmentationOutput(self.decoder.decode(features, self.label(text)))

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Those of the tower, and the decoder's."""
        return _pairs(self, self.image_tower)
