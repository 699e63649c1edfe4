"""MCDRL: select regions by text, attend over confounders made from text, segment.

Liang et al., "Multimodal Causal-Driven Representation Learning for Generalizable Medical Image
Segmentation", CVPR 2026, https://arxiv.org/abs/2508.05008. The paper has no public code; see
docs/explanation/mcdrl.md for what is known, and `MCDRLConfig` for what was chosen where it is
silent.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.encoders.bert import text_tower
from causalseg.encoders.dense import dense_tower
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.tokens import text_reader
from causalseg.encoders.tower import SentenceTower
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError
from causalseg.models.base import ImageOnlyModel, ParameterGroup, Rates
from causalseg.models.folding import NormPair, prefixed, sequential_pairs
from causalseg.models.mcdrl import dictionary as z
from causalseg.models.mcdrl.config import DICTIONARIES, MCDRLConfig
from causalseg.models.mcdrl.head import Head
from causalseg.models.mcdrl.intervention import InterventionNetwork
from causalseg.models.mcdrl.objective import CausalLoss
from causalseg.models.mcdrl.regions import gather, region_scores, scatter, select
from causalseg.models.output import SegmentationOutput

EMA = 0.05


class MCDRL(ImageOnlyModel):
    """Segmentation for unseen domains.

    All text is constant: it is encoded once, when the model is initialised, and the text encoder
    is not kept. No caption enters this model.

    Example:
        >>> from causalseg import build_model
        >>> model = build_model("mcdrl", encoder="tiny").eval()
        >>> out = model(images)
        >>> out.logits.shape, out.region_scores.shape, out.confounder_attention.shape
        (torch.Size([1, 1, 224, 224]), torch.Size([1, 5, 7, 7]), torch.Size([1, 24, 12]))

    """

    config_class = MCDRLConfig
    paper_parameters = 73_885_473
    free_length = ("confounders",)
    config: MCDRLConfig
    classes: Tensor
    """e, (K, d)."""
    confounders: Tensor
    """Z, (M, d)."""
    causal_target: Tensor
    """(1/M) sum_m t_{k,m} of the data's class k, (d,)."""
    intervening: Tensor
    """(), bool: whether the warm-up is over; in the checkpoint."""

    def __init__(self, config: MCDRLConfig) -> None:
        super().__init__(config)
        width = config.clip.embedding
        self.image_tower = dense_tower(config.clip)
        # Filled by `initialise`, or from a checkpoint.
        self.register_buffer("classes", torch.empty(len(config.prompt_table.classes), width))
        self.register_buffer("causal_target", torch.empty(width))
        if config.dictionary == "learned":
            self.confounders = nn.Parameter(torch.empty(0, width))
        else:
            self.register_buffer("confounders", torch.empty(0, width))
        self.network = InterventionNetwork(config) if config.intervention else None
        self.head = Head(width, config.head)
        self.register_buffer("intervening", torch.tensor(config.intervention))
        self.frozen = False

    def initialise(self) -> None:
        """Fill the image tower, encode all texts and freeze what is not trained."""
        for name, value in _constant_texts(self.config, self.initialise_towers()).items():
            getattr(self, name).data = value
        self._freeze()

    def initialise_towers(self) -> SentenceTower:
        """Fill the image tower, and give the text tower of the same weights, which is not kept."""
        clip = self.config.clip
        tower = text_tower(clip.text, clip.embedding)
        self.weights_report = initialise(self.image_tower, tower, self.config.weights)
        return tower

    def _pretrained(self) -> list[nn.Parameter]:
        """Image parameters that came from a file. ImageNet has no projection to a joint space."""
        source = self.weights_report.source
        if source == "random":
            return []
        return [
            p
            for name, p in self.image_tower.named_parameters()
            if not (source.startswith("imagenet") and name.startswith("attnpool."))
        ]

    def _freeze(self) -> None:
        self.frozen = self.config.image_rate == 0 and bool(self._pretrained())
        if self.frozen:
            for parameter in self._pretrained():
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> "MCDRL":
        """Like `nn.Module.train`, but a frozen tower keeps its batch-norm statistics."""
        super().train(mode)
        if self.frozen:
            self.image_tower.eval()
        return self

    def parameter_groups(self, rates: Rates) -> list[ParameterGroup]:  # noqa: ARG002
        """Pretrained image weights at `image_rate`, new modules at the full rate."""
        slow = {id(p) for p in self._pretrained()}
        free = [p for p in self.parameters() if p.requires_grad]
        groups = [ParameterGroup("new", [p for p in free if id(p) not in slow], 1.0)]
        pretrained = [p for p in free if id(p) in slow]
        if pretrained:
            groups.append(ParameterGroup("image", pretrained, self.config.image_rate))
        return groups

    def objective(self) -> CausalLoss:
        """L = L_seg + 0.5 L_causal + 0.1 L_contrast."""
        return CausalLoss(self.config)

    def fold_pairs(self) -> list[NormPair]:
        """Pairs of a residual tower and of the head."""
        tower = self.image_tower
        pairs = (
            prefixed("image_tower", tower.fold_pairs()) if isinstance(tower, ResNetTower) else []
        )
        return pairs + prefixed("head", sequential_pairs(self.head))

    def export_refusal(self) -> str:
        """It has not been tried."""
        return "its choice of regions by topk has not been compared in an exported graph"

    def on_epoch(self, epoch: int) -> None:
        """Called by training before each epoch: the intervention is on after the warm-up."""
        self.intervening.fill_(self.config.intervention and epoch >= self.config.warmup_epochs)

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised."""
        config = self.config
        dense, local = self.image_tower(images)
        similar = dense if config.patch_features == "plain" else local
        scores = region_scores(similar, self.classes)
        positions = select(scores, config.alpha)
        regions = gather(dense, positions)
        auxiliary = {
            "image": dense.mean((2, 3)),
            "classes": self.classes,
            "causal_target": self.causal_target,
            "positions": positions,
            "dense": dense,
        }
        attention = None
        if self.network is not None and bool(self.intervening):
            before = regions
            regions, weights = self.network(regions, self.confounders, self._prior())
            attention = weights if config.attend == "confounders" else None
            auxiliary["pooled"] = regions.mean(1)
            if self.training and config.dictionary_update == "ema":
                self._move_dictionary(before, weights)
        fused = scatter(dense, positions, regions, config.elsewhere)
        return SegmentationOutput(
            logits=self.head(fused, (images.shape[2], images.shape[3])),
            region_scores=scores,
            confounder_attention=attention,
            auxiliary={**auxiliary, "fused": fused},
        )

    def _prior(self) -> Tensor | None:
        if self.config.prior is None or self.config.attend == "self":
            return None
        prior = torch.tensor(self.config.prior, dtype=torch.float32, device=self.confounders.device)
        if len(prior) != len(self.confounders):
            raise InputError(
                f"prior has {len(prior)} weights for {len(self.confounders)} confounders; "
                "give one for each sentence of the dictionary."
            )
        return prior / prior.mean()

    @torch.no_grad()
    def _move_dictionary(self, features: Tensor, attention: Tensor) -> None:
        """z_m <- 0.95 z_m + 0.05 |z_m| u_m, u_m the unit mean of features weighted by attention."""
        mean = torch.einsum("bnm,bnd->md", attention, features.detach())
        target = F.normalize(mean, dim=1) * self.confounders.norm(dim=1, keepdim=True)
        # A new tensor: the old one is still needed by the backward pass.
        self.confounders = self.confounders.lerp(target.to(self.confounders.dtype), EMA)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        saved = state_dict.get(prefix + "confounders")
        if saved is not None:
            self.confounders.data = self.confounders.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _constant_texts(config: MCDRLConfig, tower: SentenceTower) -> dict[str, Tensor]:
    """Class texts (K, d), dictionary (M, d) and the target of L_causal (d,)."""
    prompts = config.prompt_table
    kind, seed = config.dictionary, config.dictionary_seed
    reader = text_reader(tower.config, config.weights, tower.config.context_length)
    proper = z.build_dictionary(config.encoder, config.weights, tower, prompts, config.template)
    if kind in ("random", "learned"):
        vectors = z.gaussian(len(proper.vectors), proper.vectors, seed)
    elif kind == "text":
        vectors = proper.vectors
    elif kind in DICTIONARIES:
        vectors = z.embed(tower, reader, z.sentences_for(kind, config.template, prompts, seed))
    else:
        given = z.load_dictionary(Path(kind))
        if given.fingerprint != proper.fingerprint:
            raise InputError(
                f"{kind} was built with another text encoder ({given.encoder}, {given.weights}) "
                f"than this model's ({config.encoder}, {config.weights}); build it again."
            )
        vectors = given.vectors
    own = prompts.class_domain_sentences()[config.lesion_index]
    return {
        "classes": z.embed(tower, reader, prompts.class_sentences()),
        "confounders": vectors,
        "causal_target": z.embed(tower, reader, own).mean(0),
    }
