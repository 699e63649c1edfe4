"""CLIP's transformer and text tower (Radford et al., 2021), with OpenAI's parameter names."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from causalseg.encoders.config import TextConfig
from causalseg.encoders.tower import SentenceTower


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x): the approximation with which OpenAI's weights were trained."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    """Pre-norm self-attention and feed-forward.

    `attn` only holds parameters under OpenAI's names; the arithmetic is
    `scaled_dot_product_attention`, which exports and fuses.
    """

    def __init__(self, width: int, heads: int, activation: str = "quick_gelu") -> None:
        super().__init__()
        self.heads = heads
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                [
                    ("c_fc", nn.Linear(width, 4 * width)),
                    ("gelu", QuickGELU() if activation == "quick_gelu" else nn.GELU()),
                    ("c_proj", nn.Linear(4 * width, width)),
                ]
            )
        )
        self.ln_2 = nn.LayerNorm(width)

    def attention(self, x: Tensor, *, causal: bool, valid: Tensor | None = None) -> Tensor:
        """Multi-head self-attention over (B, L, width).

        Args:
            x: (B, L, width).
            causal: a token attends to those before it only.
            valid: (B, L) bool, which tokens may be attended to; None: all.

        """
        batch, length, width = x.shape
        packed = nn.functional.linear(x, self.attn.in_proj_weight, self.attn.in_proj_bias)
        q, k, v = packed.view(batch, length, 3, self.heads, width // self.heads).unbind(2)
        mixed = nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=None if valid is None else valid[:, None, None],
            is_causal=causal,
        )
        out: Tensor = self.attn.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return out

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        x = x + self.attention(self.ln_1(x), causal=causal)
        y: Tensor = x + self.mlp(self.ln_2(x))
        return y


class Transformer(nn.Module):
    """A stack of residual attention blocks."""

    def __init__(self, width: int, layers: int, heads: int, activation: str = "quick_gelu") -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            ResidualAttentionBlock(width, heads, activation) for _ in range(layers)
        )

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        for block in self.resblocks:
            x = block(x, causal=causal)
        return x


def set_epsilon(module: nn.Module, epsilon: float) -> None:
    """Give every layer norm of a module this epsilon."""
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = epsilon


class TextTower(SentenceTower):
    """Caption -> tau: the last layer's activation at [EOS], projected to the joint space.

    Attention is causal and every token after [EOS] is padding, so a sequence may end at its
    longest [EOS] and positions are sliced: the result equals that of the full 77 positions.
    """

    config: TextConfig

    def __init__(self, config: TextConfig, embedding: int) -> None:
        super().__init__()
        self.config, self.activation = config, config.activation
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.transformer = Transformer(config.width, config.layers, config.heads, config.activation)
        self.ln_final = nn.LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.empty(config.width, embedding))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """CLIP's initialisation, queries and keys times `attention_gain`."""
        width, layers, gain = self.config.width, self.config.layers, self.config.attention_gain
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        residual = width**-0.5 * (2 * layers) ** -0.5
        for block in self.transformer.resblocks:
            assert isinstance(block, ResidualAttentionBlock)
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            block.attn.in_proj_weight.detach()[: 2 * width] *= gain
            nn.init.normal_(block.attn.out_proj.weight, std=residual)
            for name, weight in block.mlp.named_parameters():
                if name == "c_fc.weight":
                    nn.init.normal_(weight, std=(2 * width) ** -0.5)
                elif name == "c_proj.weight":
                    nn.init.normal_(weight, std=residual)

    def hidden(self, tokens: Tensor) -> Tensor:
        """As the base says; a token's vector depends on the tokens before it."""
        self.check_length(tokens)
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        words: Tensor = self.ln_final(self.transformer(x, causal=True))
        return words

    def sentence(self, words: Tensor, tokens: Tensor) -> Tensor:
        """tau (B, embedding) from `hidden`'s words (B, L, width) and their tokens (B, L)."""
        # `len` would fix the batch in a trace.
        rows = torch.arange(words.shape[0], device=words.device)
        at_eos = words[rows, tokens.argmax(dim=1)]
        tau: Tensor = at_eos @ self.text_projection
        return tau


class WordTower(TextTower):
    """The text tower for models that read words: it has no projection to the joint space."""

    unused_weights = ("text_projection",)
    """Tensors that a CLIP file holds only for the sentence's feature; ignored by name when
    loading."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config, 1)
        del self.text_projection

    def forward(self, tokens: Tensor) -> Tensor:
        """Words.

        Args:
            tokens: (B, L) int64, 0 < L <= 77.

        Returns:
            (B, L, width); what follows [EOS] in a row is meaningless.

        Raises:
            InputError: L exceeds the positions there are.

        """
        return self.hidden(tokens)
