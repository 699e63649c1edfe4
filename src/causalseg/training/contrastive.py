"""Objectives that bring images and their sentences together: CLIP's, ConVIRT's and GLoRIA's.

Captions made from a template repeat: two random images of QaTa-COV19 share one with probability
0.18, so that a batch of 32 holds 5.5 other images with an image's own caption. To call those
negatives, as the papers do, teaches the opposite of what the captions say. Here all equal captions
are positives: the targets are T_ij = [caption_i = caption_j] / (row's sum), as in supervised
contrastive learning (Khosla et al., 2020) and UniCL (Yang et al., 2022).
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.encoders.bert import text_tower
from causalseg.encoders.config import ResNetConfig, encoder_config
from causalseg.encoders.dense import dense_tower
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.tower import Tower
from causalseg.errors import InputError
from causalseg.text.batch import cut_at_eos, up_to_eos

Name = Literal["clip", "convirt", "gloria"]
CLIP_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0
"""CLIP's inverse temperature, which is learned, at the start and at most."""
CONVIRT_SCALE, CONVIRT_IMAGE_SHARE = 1 / 0.1, 0.75
"""ConVIRT's inverse temperature, and the weight lambda of its image-to-text term."""
GLORIA_ATTENTION, GLORIA_WORDS, GLORIA_SCALE = 4.0, 5.0, 10.0
"""GLoRIA's temperatures: of the attention over regions, of the words, of both losses."""
GLORIA_STAGE = 3
"""Stage whose positions GLoRIA compares with words."""


def caption_targets(tokens: Tensor) -> Tensor:
    """Which texts are right for which images: (B, B), each row sums to one.

    Args:
        tokens: (B, L) of the images' own captions; equal rows are equal captions.

    """
    same = (tokens.unsqueeze(1) == tokens.unsqueeze(0)).all(2).float()
    return same / same.sum(1, keepdim=True)


def contrastive_loss(similarity: Tensor, targets: Tensor, image_share: float = 0.5) -> Tensor:
    """Cross-entropy of images choosing among texts, and of texts choosing among images.

    `image_share * CE(S, T) + (1 - image_share) * CE(S^T, T)`; with an identity for T it is the
    papers' loss. It cannot fall below the entropy of T.

    Args:
        similarity: S (B, B), images by texts, times the inverse temperature.
        targets: T (B, B) of `caption_targets`.
        image_share: weight of the first term.

    """
    to_text = F.cross_entropy(similarity, targets)
    to_image = F.cross_entropy(similarity.T, targets)
    return image_share * to_text + (1 - image_share) * to_image


def local_scores(regions: Tensor, words: Tensor, valid: Tensor) -> Tensor:
    """GLoRIA's score of images and texts by their regions and words.

    s_ij = t_i . v_j, softmax over the words; a_ij = softmax over the regions of 4 s_ij;
    c_i = sum_j a_ij v_j; Z = log mean_i exp(5 cos(c_i, t_i)). The paper sums over the words in
    place of the mean, which makes Z grow with a text's length.

    Args:
        regions: v (B, C, h, w).
        words: t (T, L, C).
        valid: (T, L), which words count.

    Returns:
        Z (B, T).

    """
    v = regions.flatten(2)
    seen = valid[None, :, :, None]
    s = torch.einsum("tlc,bcn->btln", words, v).masked_fill(~seen, -torch.inf).softmax(2)
    attention = (GLORIA_ATTENTION * s).softmax(3)
    contexts = torch.einsum("btln,bcn->btlc", attention, v)
    cosines = F.cosine_similarity(contexts, words.unsqueeze(0), dim=3)
    cosines = (GLORIA_WORDS * cosines).masked_fill(~valid, -torch.inf)
    return cosines.logsumexp(2) - valid.sum(1).log()


class ImageTextPair(nn.Module):
    """An image tower and a text tower of an encoder, with the heads of an objective.

    - `clip`: the mean of the image tower's dense map in the joint space against the sentence's
      feature, one learned temperature. CLIP's own attention pool is left out, so that the dense
      map, which segmentation reads (MCDRL), is what is trained.
    - `convirt`: pooled features through linear-ReLU-linear heads, temperature 0.1, lambda 0.75.
      The sentence's feature is the text tower's instead of the largest of BERT's.
    - `gloria`: pooled feature and sentence, and the third stage's positions against the words
      (`local_scores`); the start token counts as a word, the end token does not.

    Args:
        encoder: a name of `causalseg.encoders.config.ENCODERS`.
        objective: which.

    Raises:
        InputError: there is no such encoder, or the objective wants a ResNet's stages.

    """

    image_tower: Tower

    def __init__(self, encoder: str, objective: Name) -> None:
        super().__init__()
        config = encoder_config(encoder)
        if objective != "clip" and not isinstance(config.image, ResNetConfig):
            raise InputError(
                f"objective {objective!r} reads a ResNet's stages, and {encoder!r} is a ViT: take "
                "'clip'."
            )
        self.objective, width = objective, config.embedding
        self.text_tower = text_tower(config.text, width)
        if objective == "clip":
            self.image_tower = dense_tower(config)
            self.log_scale = nn.Parameter(torch.tensor(math.log(CLIP_SCALE)))
            return
        assert isinstance(config.image, ResNetConfig)
        self.image_tower = ResNetTower(config.image)
        channels = self.image_tower.pyramid_channels()
        if objective == "convirt":
            self.image_head: nn.Module = _head(channels[-1], width)
            self.text_head: nn.Module = _head(width, width)
        else:
            self.image_head, self.text_head = nn.Linear(channels[-1], width), nn.Identity()
            self.local = nn.Conv2d(channels[GLORIA_STAGE], config.text.width, 1, bias=False)

    def encode_images(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Unit vectors (B, E) of images (B, 3, H, W), and GLoRIA's regions (B, C, h, w)."""
        if self.objective == "clip":
            return _unit(self.image_tower(images)[0].mean((2, 3))), None
        assert isinstance(self.image_tower, ResNetTower)
        maps = self.image_tower.pyramid(images)
        pooled = self.image_head(maps[-1].mean((2, 3)))
        regions = self.local(maps[GLORIA_STAGE]) if self.objective == "gloria" else None
        return _unit(pooled), regions

    def encode_texts(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors (T, E) of token ids (T, L), words (T, L', C), and which words count."""
        tokens = cut_at_eos(tokens)
        words = self.text_tower.hidden(tokens)
        sentence = self.text_tower.sentence(words, tokens)
        if self.objective != "clip":
            sentence = self.text_head(sentence)
        # The token after a sentence's last word is its end: what is before the end counts.
        valid = up_to_eos(tokens).roll(-1, 1)
        valid[:, -1] = False
        return _unit(sentence), words, valid

    def losses(self, images: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """`loss`, and its parts where there are several.

        Args:
            images: (B, 3, H, W), normalised.
            tokens: (B, L) of their captions; each distinct one is encoded once.

        """
        distinct, place = torch.unique(tokens, dim=0, return_inverse=True)
        seen, regions = self.encode_images(images)
        said, words, valid = self.encode_texts(distinct)
        targets = caption_targets(tokens)
        cosines = (seen.float() @ said.float().T)[:, place]
        if self.objective == "clip":
            scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
            return {"loss": contrastive_loss(scale * cosines, targets), "scale": scale}
        if self.objective == "convirt":
            found = contrastive_loss(CONVIRT_SCALE * cosines, targets, CONVIRT_IMAGE_SHARE)
            return {"loss": found}
        assert regions is not None
        z = local_scores(regions.float(), words.float(), valid)[:, place]
        # The paper's two terms are summed, and not averaged.
        whole = 2 * contrastive_loss(GLORIA_SCALE * cosines, targets)
        local = 2 * contrastive_loss(GLORIA_SCALE * z, targets)
        return {"loss": whole + local, "global": whole, "local": local}

    def tensors(self) -> dict[str, Tensor]:
        """The towers under the names that `encoders.weights.initialise` reads."""
        image = {f"visual.{name}": value for name, value in self.image_tower.state_dict().items()}
        return image | self.text_tower.state_dict()


def _head(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=1)
