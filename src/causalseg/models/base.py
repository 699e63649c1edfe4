"""The contract between a model and everything else: data, training, inference, export, evaluation.

How to add a model. Make a folder here, and write

1. a config: a frozen, keyword-only dataclass that extends `ModelConfig`, each field with a
   docstring. Its values are what JSON holds (numbers, strings, booleans, None, tuples and tables
   of these), since they travel in the checkpoint. `size="paper"` is the published size and
   `size="compact"` one that trains on two cores; `build_model(NAME, size="compact", ...)` and
   `--model.size compact` choose.
2. the network: a class that extends `SegmentationModel`, or `ImageOnlyModel` where it reads no
   text. Set `config_class` and `paper_parameters`, and write `__init__(config)`, which calls
   `super().__init__(config)` first, and `segment` or `segment_image`. All else has a default, which
   you replace where yours differs.
3. its line in `models/registry.py`.

`tests/models/test_contract.py` then runs over it, and `fit`, `evaluate`, `ablate`, `faithfulness`,
`predict`, `export`, the page and the server take it. docs/explanation/architecture.md
shows a complete example.

`__init__` builds the network with random weights and reads no file. What has to be read (published
weights) is read by `initialise`, which `build_model` calls and loading a checkpoint does not.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from causalseg.encoders.normalisation import CLIP, Normalisation
from causalseg.encoders.weights import WeightsReport
from causalseg.errors import InputError
from causalseg.models.folding import NormPair
from causalseg.models.losses import Objective, SegmentationLoss
from causalseg.models.output import SegmentationOutput
from causalseg.text.readers.base import TextReader
from causalseg.text.readers.clip import ClipTokens
from causalseg.text.readers.none import NoText

Text = Tensor | tuple[Tensor, ...]
"""Encoded texts: a tensor, or several, the first dimension of each being the text."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every model's config has.

    A field whose type is a `Literal` takes its values only; `model_config` refuses others before
    the config is made, so that `__post_init__` need not.
    """

    size: Literal["paper", "compact"] = "paper"
    """The published size, or a small one that trains on two cores."""

    @property
    def idle(self) -> tuple[str, ...]:
        """Options that have no effect given the others, so that a grid skips their values."""
        return ()


class Rates(Protocol):
    """What a model may use of the optimizer's config."""

    @property
    def image_lr_factor(self) -> float:
        """Rate of the image tower, as a factor of the rate of new modules."""

    @property
    def text_lr_factor(self) -> float:
        """Rate of the text tower, as a factor of the rate of new modules."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    name: str
    parameters: list[nn.Parameter]
    factor: float
    """Of the run's learning rate."""


class SegmentationModel(nn.Module, ABC):
    """Image and text in, logits of one mask out.

    A forward pass is `segment(encode_image(images), encode_text(tokens))`. The first two may be
    kept: one image is asked by several texts, and a text is asked of several images. Where image
    and text meet early, leave both as they are and do everything in `segment`.
    """

    config_class: ClassVar[type[ModelConfig]]
    """The config's class; `build_model`, the command line and checkpoints make one of it."""
    normalisation: ClassVar[Normalisation] = CLIP
    """Mean and standard deviation that images are normalised with."""
    reads_text: bool = True
    """Whether the answer depends on the sentence; users are told where it does not."""
    image_parts: ClassVar[tuple[str, ...]] = ()
    """Names of the children that are the image tower: `optimizer.image_lr_factor` is for them."""
    text_parts: ClassVar[tuple[str, ...]] = ()
    """Names of the children that are the text tower: `optimizer.text_lr_factor` is for them."""
    training_only: ClassVar[tuple[str, ...]] = ()
    """Names of the children that no evaluation uses; they do not count as parameters at test
    time."""
    full_precision: ClassVar[tuple[str, ...]] = ()
    """Names of the modules that stay in float32 where inference in bfloat16 is asked for; the
    image tower then casts its input. Left out, the model runs in float32 only."""
    paper_parameters: ClassVar[int]
    """Number of parameters at `size="paper"`, all other options left out, as the paper's or the
    original code's network has them; a test compares."""
    free_length: ClassVar[tuple[str, ...]] = ()
    """Names of tensors whose first dimension is a checkpoint's to say, and not the config's."""
    config: ModelConfig
    weights_report: WeightsReport
    """Where the initial weights came from; kept in every checkpoint."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weights_report = WeightsReport("random")

    def initialise(self) -> None:
        """Read initial weights as the config names them, and say so in `weights_report`.

        Raises:
            InputError: a file is absent, out of reach or does not fit.

        """

    def reader(self, context_length: int) -> TextReader:
        """What turns sentences into this model's `tokens`.

        Args:
            context_length: tokens of a sentence at most (`data.context_length`).

        """
        return ClipTokens(context_length)

    def encode_image(self, images: Tensor) -> Any:
        """All that can be computed of the images alone.

        Args:
            images: (B, 3, H, W) float32, normalised.

        Returns:
            What `segment` takes; by default the images themselves.

        Raises:
            InputError: the network cannot take images of this size.

        """
        return images

    def encode_text(self, tokens: Tensor) -> Text:
        """All that can be computed of the texts alone.

        Args:
            tokens: (T, L) int64 of `reader`.

        Returns:
            What `segment` takes, texts in the first dimension; by default the tokens themselves.

        """
        return tokens

    @abstractmethod
    def segment(self, features: Any, text: Text) -> SegmentationOutput:
        """Segment B images by B texts each with its own, or one image by each of T texts.

        Args:
            features: of `encode_image`, of B images or of 1.
            text: of `encode_text`, of B texts or of T.

        Returns:
            Logits (B or T, 1, H, W) at the size of the images, and whatever else there is.

        """

    def forward(self, images: Tensor, tokens: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised, by tokens (B, L) of the model's reader."""
        return self.segment(self.encode_image(images), self.encode_text(tokens))

    def objective(self) -> Objective:
        """What training minimises; by default binary cross-entropy and Dice in equal parts."""
        return SegmentationLoss()

    def on_epoch(self, epoch: int) -> None:
        """Called by training before each epoch, from 0, for a schedule of the model's own."""

    def parameter_groups(self, rates: Rates) -> list[ParameterGroup]:
        """Trainable parameters by learning rate: image tower, text tower and all the rest.

        Args:
            rates: the optimizer's config.

        """
        members: dict[str, list[nn.Parameter]] = {"image": [], "text": [], "head": []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                child = name.partition(".")[0]
                part = "text" if child in self.text_parts else "head"
                members["image" if child in self.image_parts else part].append(parameter)
        factors = {"image": rates.image_lr_factor, "text": rates.text_lr_factor, "head": 1.0}
        return [ParameterGroup(k, found, factors[k]) for k, found in members.items() if found]

    def fold_pairs(self) -> list[NormPair]:
        """Convolutions and the batch norms that may be folded into them for inference.

        The convolution's output must go to the norm, and nowhere else. Loading compares logits
        before and after, so that a wrong pair is an error and not a wrong mask. `sequential_pairs`
        finds those of plain `nn.Sequential`s. By default none is folded.
        """
        return []

    def export_refusal(self) -> str | None:
        """Why this model cannot be exported, as the end of a sentence; None where it can."""
        return None

    def inference_parameters(self) -> int:
        """Number of parameters that a prediction uses."""
        return sum(
            parameter.numel()
            for name, parameter in self.named_parameters()
            if name.partition(".")[0] not in self.training_only
        )


class ImageOnlyModel(SegmentationModel):
    """A model that reads no text: every sentence gets the same answer."""

    reads_text = False

    def reader(self, context_length: int) -> TextReader:  # noqa: ARG002
        """`NoText`: tokens are (T, 0)."""
        return NoText()

    @abstractmethod
    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised; logits (B, 1, H, W)."""

    def encode_image(self, images: Tensor) -> SegmentationOutput:
        """The whole answer."""
        return self.segment_image(images)

    def segment(self, features: SegmentationOutput, text: Text) -> SegmentationOutput:
        """The answer; one image's logits are repeated for T texts."""
        count = len(text if isinstance(text, Tensor) else text[0])
        if count == len(features.logits):
            return features
        return replace(features, logits=features.logits.expand(count, -1, -1, -1))

    def forward(self, images: Tensor, tokens: Tensor | None = None) -> SegmentationOutput:  # noqa: ARG002
        """Segment images (B, 3, H, W), normalised; tokens are ignored."""
        return self.segment_image(images)


def pair(images: Tensor, text: Tensor) -> Tensor:
    """Images (B or 1, ...) with one for each of the texts (T, ...), for `segment` of early fusion.

    Returns:
        (T, ...), a view where one image is repeated.

    """
    return images.expand(len(text), *images.shape[1:]) if len(images) == 1 else images


def check_divisible(images: Tensor, stride: int, name: str) -> None:
    """Refuse images whose sides a network cannot halve as often as it has to.

    Raises:
        InputError: a side is no multiple of `stride`.

    """
    height, width = images.shape[2:]
    if height % stride or width % stride:
        raise InputError(
            f"{name} cannot take an image of {width} x {height}; choose a size that {stride} "
            "divides."
        )
