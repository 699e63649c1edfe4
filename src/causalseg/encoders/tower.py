"""The base of every tower with published weights."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from causalseg.encoders.config import BertConfig, TextConfig
from causalseg.errors import InputError


class Tower(nn.Module):
    """Encodes images or texts; its parameters have the names of the published files."""

    unused_weights: tuple[str, ...] = ("attnpool.",)
    """Prefixes of names that a file may hold and this tower does not use."""
    activation: str | None = None
    """What its transformer computes between linear layers; None where it has no transformer."""


class SentenceTower(Tower, ABC):
    """Encodes token ids (B, L) int64, of which each row's highest is the sentence's end."""

    config: TextConfig | BertConfig

    @abstractmethod
    def hidden(self, tokens: Tensor) -> Tensor:
        """The last layer's output for each token, normalised: (B, L) -> (B, L, width).

        What follows the end in a row is meaningless.

        Raises:
            InputError: L exceeds the positions there are.

        """

    @abstractmethod
    def sentence(self, words: Tensor, tokens: Tensor) -> Tensor:
        """tau (B, embedding) from `hidden`'s words (B, L, width) and their tokens (B, L)."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Text features.

        Args:
            tokens: (B, L), 0 < L <= `config.context_length`.

        Returns:
            tau: (B, embedding).

        Raises:
            InputError: L exceeds the positions there are.

        """
        return self.sentence(self.hidden(tokens), tokens)

    def check_length(self, tokens: Tensor) -> None:
        """Refuse more tokens (B, L) than there are positions.

        Raises:
            InputError: L exceeds them.

        """
        if tokens.shape[1] > self.config.context_length:
            raise InputError(
                f"{tokens.shape[1]} tokens do not fit the text encoder's "
                f"{self.config.context_length} positions; tokenize with a smaller context_length."
            )
