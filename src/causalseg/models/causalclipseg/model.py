"""CausalCLIPSeg: CLIP towers, a masker, and a decoder whose kernel is made from text.

Chen et al., "CausalCLIPSeg: Unlocking CLIP's Potential in Referring Medical Image Segmentation with
Causal Intervention", MICCAI 2024, https://doi.org/10.1007/978-3-031-72384-1_8
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from causalseg.encoders.bert import text_tower
from causalseg.encoders.config import encoder_config
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.weights import initialise
from causalseg.layers.gradient import reverse_gradient
from causalseg.layers.hooks import changed_outputs
from causalseg.layers.noise import fixed_noise
from causalseg.models.base import SegmentationModel, Text
from causalseg.models.causalclipseg.config import CausalCLIPSegConfig
from causalseg.models.causalclipseg.decoder import Decoder
from causalseg.models.causalclipseg.fast import FastDecoder, FastFusion
from causalseg.models.causalclipseg.fusion import Fusion
from causalseg.models.causalclipseg.masker import Masker
from causalseg.models.causalclipseg.objective import MinMaxLoss
from causalseg.models.folding import NormPair, prefixed
from causalseg.models.output import SegmentationOutput
from causalseg.text.batch import encode_distinct

Features = Mapping[int, Tensor]
"""Encoder stage -> (B, C_i, h_i, w_i)."""


@dataclass
class ImageFeatures:
    """Everything the decoder needs of an image; the text enters later."""

    pixels: Tensor
    """(B, C_1, H / 4, W / 4): F^c after the first of the decoder's two upsampling steps."""
    confounder_pixels: Tensor | None
    """The same for F^s, where asked for."""
    size: tuple[int, int]
    """(H, W) of the image, in pixels."""
    attention: dict[int, Tensor]
    """Stage -> causal mask M."""
    deep: Tensor
    """(B, C_n, h_n, w_n): the deepest stage's features, before the masker."""


class Branch(nn.Module):
    """Fusion and decoder of one kind of feature: D_c for the causal, D_s for the confounding."""

    fold_pairs = (
        ("fusion.conv", "fusion.norm"),
        ("decoder.up1", "decoder.norm1"),
        ("decoder.up2", "decoder.norm2"),
    )

    def __init__(self, config: CausalCLIPSegConfig, channels: dict[int, int]) -> None:
        super().__init__()
        fusion, decoder = (FastFusion, FastDecoder) if config.fast else (Fusion, Decoder)
        embedding = encoder_config(config.encoder).embedding
        self.fusion = fusion(channels, config.head[0], unified_stage=config.unified_stage)
        self.decoder = decoder(config.head, embedding, config.kernel_size)

    def forward(self, features: Features, size: tuple[int, int]) -> Tensor:
        upsampled: Tensor = self.decoder.upsample(self.fusion(features), size)
        return upsampled


class CausalCLIPSeg(SegmentationModel):
    """Referring segmentation with causal intervention.

    Only the decoder's kernel uses the text (as in the paper): masks and pixel features depend on
    the image alone, so many texts share one `encode_image`.

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
    # Text features are cached, and an error in them would move every pixel.
    full_precision = ("text_tower", "causal.decoder.kernel", "causal.decoder.project",
                      "confounding.decoder.kernel", "confounding.decoder.project")  # fmt: skip
    config: CausalCLIPSegConfig

    def __init__(self, config: CausalCLIPSegConfig) -> None:
        super().__init__(config)
        encoder = encoder_config(config.encoder)
        checkpointing = config.gradient_checkpointing
        self.image_tower = ResNetTower(config.image, gradient_checkpointing=checkpointing)
        self.text_tower = text_tower(encoder.text, encoder.embedding)
        channels = self.image_tower.channels
        self.maskers = nn.ModuleDict()
        for stage, count in channels.items() if config.masker in (True, "additive") else ():
            out = count if config.per_channel_mask else 1
            self.maskers[str(stage)] = Masker(count, config.mask_hidden, out)
        self.causal = Branch(config, channels)
        self.confounding = Branch(config, channels) if config.adversary != "none" else None

    def initialise(self) -> None:
        """Fill the towers from the weights that the config names."""
        self.weights_report = initialise(self.image_tower, self.text_tower, self.config.weights)

    def encode_image(self, images: Tensor, *, confounder: bool = False) -> ImageFeatures:
        """Split the features of images (B, 3, H, W) into F^c and F^s (Eq. 2) and fuse them."""
        features, size = self.image_tower(images), (images.shape[2], images.shape[3])
        masks = self._masks(features)
        additive = self.config.masker == "additive"
        causal = {i: features[i] + m if additive else m * features[i] for i, m in masks.items()}
        branch = self.confounding if confounder else None
        confounding = branch(self._confounding(features, masks), size) if branch else None
        pixels = self.causal({**features, **causal}, size)
        attention = {} if additive else masks  # what is added is not a mask
        deep = features[max(features)]
        return ImageFeatures(pixels, confounding, size, attention, deep)

    def _masks(self, features: Features) -> dict[int, Tensor]:
        """M_i of each stage."""
        if self.config.masker == "random":
            return {i: fixed_noise(x, seed=i) for i, x in features.items()}
        return {int(i): masker(features[int(i)]) for i, masker in self.maskers.items()}

    def _confounding(self, features: Features, masks: dict[int, Tensor]) -> dict[int, Tensor]:
        """F^s = (1 - M) * F, with the gradient routed as the adversary's form demands."""
        form, weight = self.config.adversary, self.config.adversary_weight
        if form == "reversal-all":
            return {i: reverse_gradient((1 - masks[i]) * x, weight) for i, x in features.items()}
        if form != "literal" and torch.is_grad_enabled():
            # Only the masker plays against D_s. The same masks are made once more from features
            # cut off from the towers, which would otherwise be reached through the masker's input.
            features = {i: x.detach() for i, x in features.items()}
            masks = self._masks(features)
        if form == "reversal":
            masks = {i: reverse_gradient(m, weight) for i, m in masks.items()}
        return {i: (1 - masks[i]) * x for i, x in features.items()}

    def encode_text(self, tokens: Tensor) -> Tensor:
        """CLIP token ids (B, L) -> tau (B, T)."""
        tower = self.text_tower
        tau: Tensor = encode_distinct(tower, tokens) if self.config.fast else tower(tokens)
        return tau

    def segment(self, features: ImageFeatures, text: Text) -> SegmentationOutput:
        """Response to texts (Eq. 1): tau (B, T) for B images, or for 1 image shared by all."""
        tau, confounder = text, None
        assert isinstance(tau, Tensor)
        if features.confounder_pixels is not None and self.confounding is not None:
            confounder = self.confounding.decoder.respond(
                features.confounder_pixels,
                tau if self.config.adversary == "literal" else tau.detach(),
                features.size,
            )
        logits = self.causal.decoder.respond(features.pixels, tau, features.size)
        return SegmentationOutput(logits, confounder, features.attention, deep=features.deep)

    def forward(
        self, images: Tensor, tokens: Tensor, confounder: bool | None = None
    ) -> SegmentationOutput:
        """As in the base class; by default with the confounding branch in training mode only."""
        confounder = self.training if confounder is None else confounder
        features = self.encode_image(images, confounder=confounder)
        return self.segment(features, self.encode_text(tokens))

    def objective(self) -> MinMaxLoss:
        """The min-max loss (Eq. 3 and 4)."""
        return MinMaxLoss(self.config)

    def fold_pairs(self) -> list[NormPair]:
        """Every batch norm."""
        pairs = prefixed("image_tower", self.image_tower.fold_pairs())
        pairs += prefixed("causal", Branch.fold_pairs)
        return pairs + (prefixed("confounding", Branch.fold_pairs) if self.confounding else [])

    def open_masks(self) -> AbstractContextManager[None]:
        """Within this context the maskers answer 1 everywhere, which lets all features through."""
        return changed_outputs(self.maskers.values(), torch.ones_like)
