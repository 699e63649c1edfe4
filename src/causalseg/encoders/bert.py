"""BERT (Devlin et al., 2019) as text tower, and which tower a text config makes."""

import torch
from torch import Tensor, nn

from causalseg.encoders.config import BertConfig, TextConfig
from causalseg.encoders.tower import SentenceTower, Tower
from causalseg.encoders.transformer import (
    ResidualAttentionBlock,
    TextTower,
    WordTower,
    set_epsilon,
)
from causalseg.text.batch import up_to_eos

EPSILON = 1e-12
"""Of BERT's norms."""


class BertBlock(ResidualAttentionBlock):
    """A block whose norms come after attention and feed-forward, under OpenAI's names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, "gelu")

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:  # type: ignore[override]
        """(B, L, width), and which of its tokens may be attended to, (B, L) bool."""
        x = self.ln_1(x + self.attention(x, causal=False, valid=valid))
        y: Tensor = self.ln_2(x + self.mlp(x))
        return y


class BertTower(SentenceTower):
    """Caption -> tau, as in BiomedCLIP: the first token's vector through linear-GELU-linear.

    Every token attends to all others up to the sentence's end, so what follows the end never
    reaches a word. The end, [SEP], is the highest id here (`causalseg.text.readers.wordpiece`);
    the embedding of the first segment, the only one there is, is part of the positions.
    """

    activation = "gelu"
    config: BertConfig

    def __init__(self, config: BertConfig, embedding: int) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.token_embedding = nn.Embedding(config.vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, width))
        self.ln_embedding = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(BertBlock(width, config.heads) for _ in range(config.layers))
        middle = (width + embedding) // 2
        self.proj = nn.Sequential(
            nn.Linear(width, middle, bias=False),
            nn.GELU(),
            nn.Linear(middle, embedding, bias=False),
        )
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:  # BERT's initialisation
                nn.init.normal_(parameter, std=0.02)
            elif "in_proj" in name:
                nn.init.zeros_(parameter)
        set_epsilon(self, EPSILON)

    def hidden(self, tokens: Tensor) -> Tensor:
        """As the base says; a token's vector depends on all tokens up to the end."""
        self.check_length(tokens)
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        words: Tensor = self.ln_embedding(x)
        valid = up_to_eos(tokens)
        for block in self.blocks:
            words = block(words, valid)
        return words

    def sentence(self, words: Tensor, tokens: Tensor) -> Tensor:  # noqa: ARG002
        """Tau (B, embedding) from the first token, [CLS]."""
        tau: Tensor = self.proj(words[:, 0])
        return tau


class BertWords(BertTower):
    """BERT for models that read words: it has no projection to a joint space."""

    unused_weights = ("proj.",)
    """Tensors that only the sentence's feature needs; ignored by name when loading."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, 1)
        del self.proj

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) int64 -> words (B, L, width); what follows the end in a row is meaningless."""
        return self.hidden(tokens)


def text_tower(config: TextConfig | BertConfig, embedding: int) -> SentenceTower:
    """The text tower of an encoder."""
    if isinstance(config, BertConfig):
        return BertTower(config, embedding)
    return TextTower(config, embedding)


def word_tower(config: TextConfig | BertConfig) -> Tower:
    """The text tower of an encoder without its projection: words and no sentence."""
    return BertWords(config) if isinstance(config, BertConfig) else WordTower(config)
