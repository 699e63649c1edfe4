"""CausalCLIPSeg: CLIP towers, a masker, and a decoder whose kernel is made of text.

Chen et al., "CausalCLIPSeg: Unlocking CLIP's Potential in Referring Medical Image Segmentation with
Causal Intervention", MICCAI 2024, https://doi.org/10.1007/978-3-031-72384-1_8
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from causalseg.encoders.config import encoder_config
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.transformer import TextTower
from causalseg.encoders.weights import initialise
from causalseg.layers.gradient import reverse_gradient
from causalseg.models.base import NormPair, SegmentationModel, Text, prefixed
from causalseg.models.causalclipseg.config import CausalCLIPSegConfig
from causalseg.models.causalclipseg.decoder import Decoder
from causalseg.models.causalclipseg.fusion import Fusion
from causalseg.models.causalclipseg.masker import Masker
from causalseg.models.causalclipseg.objective import MinMaxLoss
from causalseg.models.output import SegmentationOutput
from causalseg.text.batch import encode_distinct


@dataclass
class ImageFeatures:
    """All that the decoder needs of an image; the text enters after it."""

    pixels: Tensor
    """(B, C_1, H / 4, W / 4): F^c after the first of the decoder's two upsampling steps."""
    confounder_pixels: Tensor | None
    """The same of F^s, where asked for."""
    size: tuple[int, int]
    """(H, W) of the image, in pixels."""
    attention: dict[int, Tensor]
    """Stage -> causal mask M."""


class Branch(nn.Module):
    """Fusion and decoder of one kind of feature: causal or confounding."""

    FOLD_PAIRS = (
        ("fusion.conv", "fusion.norm"),
        ("decoder.up1", "decoder.norm1"),
        ("decoder.up2", "decoder.norm2"),
    )

    def __init__(self, config: CausalCLIPSegConfig, channels: dict[int, int]) -> None:
        super().__init__()
        self.fusion = Fusion(
            channels, config.head[0], unified_stage=config.unified_stage, fast=config.fast
        )
        self.decoder = Decoder(
            config.head,
            encoder_config(config.encoder).embedding,
            config.kernel_size,
            fast=config.fast,
        )

    def forward(self, features: Mapping[int, Tensor], size: tuple[int, int]) -> Tensor:
        upsampled: Tensor = self.decoder.upsample(self.fusion(features), size)
        return upsampled


class CausalCLIPSeg(SegmentationModel):
    """Referring segmentation with causal intervention.

    The text is used by the decoder's kernel alone (as in the paper): masks and pixel features
    depend on the image only, so many texts share one `encode_image`.

    Example:
        >>> from causalseg import build_model, tokenize
        >>> model = build_model("causalclipseg", encoder="tiny").eval()
        >>> out = model(images, tokenize(["one infected area, lower left lung."]))
        >>> out.logits.shape
        torch.Size([1, 1, 224, 224])

    """

    config_class = CausalCLIPSegConfig
    paper_parameters = 121_202_381
    image_parts = ("image_tower",)
    text_parts = ("text_tower",)
    training_only = ("confounding",)
    config: CausalCLIPSegConfig

    def __init__(self, config: CausalCLIPSegConfig) -> None:
        super().__init__(config)
        encoder = encoder_config(config.encoder)
        self.image_tower = ResNetTower(
            config.image, gradient_checkpointing=config.gradient_checkpointing
        )
        self.text_tower = TextTower(encoder.text, encoder.embedding)
        channels = self.image_tower.channels
        self.maskers = nn.ModuleDict(
            {
                str(stage): Masker(
                    count, config.mask_hidden, count if config.per_channel_mask else 1
                )
                for stage, count in channels.items()
                if config.masker
            }
        )
        self.causal = Branch(config, channels)
        self.confounding = Branch(config, channels) if config.adversary != "none" else None

    def initialise(self) -> None:
        """Fill the towers from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, self.text_tower, self.config.weights)

    def encode_image(self, images: Tensor, *, confounder: bool = False) -> ImageFeatures:
        """Everything up to where the text enters.

        Args:
            images: (B, 3, H, W), normalised.
            confounder: also compute the confounding branch.

        """
        features = self.image_tower(images)
        size = (images.shape[2], images.shape[3])
        masks = self._masks(features)
        additive = self.config.masker == "additive"
        causal = dict(features)
        for i, mask in masks.items():
            causal[i] = features[i] + mask if additive else mask * features[i]
        confounding = None
        if confounder and self.confounding is not None:
            confounding = self.confounding(self._confounding(features, masks), size)
        attention = {} if additive else masks  # what is added is not a mask
        return ImageFeatures(self.causal(causal, size), confounding, size, attention)

    def _masks(self, features: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return {int(i): masker(features[int(i)]) for i, masker in self.maskers.items()}

    def _confounding(
        self, features: dict[int, Tensor], masks: dict[int, Tensor]
    ) -> dict[int, Tensor]:
        """F^s = (1 - M) * F, with the gradient routed as the adversary's form demands."""
        form = self.config.adversary
        if form != "literal" and torch.is_grad_enabled():
            # Only the masker plays against D_s. The same masks are made once more from features
            # cut off from the towers, which would otherwise be reached through the masker's input.
            features = {i: x.detach() for i, x in features.items()}
            masks = self._masks(features)
        if form == "reversal":
            weight = self.config.adversary_weight
            masks = {i: reverse_gradient(m, weight) for i, m in masks.items()}
        return {i: (1 - masks[i]) * x for i, x in features.items()}

    def encode_text(self, tokens: Tensor) -> Tensor:
        """CLIP token ids (B, L) -> tau (B, T)."""
        # A traced graph must not depend on its example's captions, and meta tensors have none.
        each = torch.compiler.is_compiling() or tokens.is_meta or not self.config.fast
        tau: Tensor
        tau = self.text_tower(tokens) if each else encode_distinct(self.text_tower, tokens)
        return tau

    def segment(self, features: ImageFeatures, text: Text) -> SegmentationOutput:
        """Response to texts: tau (B, T) for features of B images, or of 1 image shared by all."""
        tau = text
        assert isinstance(tau, Tensor)
        confounder = None
        if features.confounder_pixels is not None and self.confounding is not None:
            own = tau if self.config.adversary == "literal" else tau.detach()
            confounder = self.confounding.decoder.respond(
                features.confounder_pixels, own, features.size
            )
        return SegmentationOutput(
            logits=self.causal.decoder.respond(features.pixels, tau, features.size),
            confounder_logits=confounder,
            attention=features.attention,
        )

    def forward(
        self, images: Tensor, tokens: Tensor, confounder: bool | None = None
    ) -> SegmentationOutput:
        """Segment.

        Args:
            images: (B, 3, H, W), normalised as `Preprocessing` does.
            tokens: (B, L) int64 from `tokenize`.
            confounder: compute the confounding branch; by default only in training mode.

        """
        confounder = self.training if confounder is None else confounder
        features = self.encode_image(images, confounder=confounder)
        return self.segment(features, self.encode_text(tokens))

    def objective(self) -> MinMaxLoss:
        """The min-max loss (Eq. 3 and 4)."""
        return MinMaxLoss(self.config)

    def fold_pairs(self) -> list[NormPair]:
        """Every batch norm there is."""
        pairs = prefixed("image_tower", self.image_tower.fold_pairs())
        pairs += prefixed("causal", Branch.FOLD_PAIRS)
        return pairs + (prefixed("confounding", Branch.FOLD_PAIRS) if self.confounding else [])

    def to_bfloat16(self) -> None:
        """Convert the image path; text and its kernel stay in float32.

        Text features are computed once and cached, and an error in them would move every pixel.
        """
        exact: list[nn.Module] = [self.text_tower]
        for branch in (self.causal, self.confounding):
            if branch is not None:
                exact += [branch.decoder.kernel, branch.decoder.project]
        kept = {id(p) for module in exact for p in module.parameters()}
        for parameter in self.parameters():
            if id(parameter) not in kept and parameter.is_floating_point():
                parameter.data = parameter.data.bfloat16()
        self.image_tower.register_forward_pre_hook(lambda _, arguments: (arguments[0].bfloat16(),))

    @contextmanager
    def open_masks(self) -> Iterator[None]:
        """Within it, the maskers answer 1 everywhere, which lets all features through."""
        hooks = [
            masker.register_forward_hook(lambda _, __, mask: torch.ones_like(mask))
            for masker in self.maskers.values()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
