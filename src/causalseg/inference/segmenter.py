"""From an image and a sentence to a mask: the one door to a trained model's forward pass."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causalseg.data.images import Picture
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.backends import is_exported, load_exported
from causalseg.inference.default import DEFAULT, default_checkpoint
from causalseg.inference.device import usable_device
from causalseg.inference.encoded import EncodedImages, probabilities
from causalseg.inference.image_input import ImageLike, as_picture
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.optimise import Precision, TextCache, compiled, optimise
from causalseg.inference.segmentation import Segmentation
from causalseg.inference.sentences import Sentence, named_halves, read_for, unread_sentence
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import load_checkpoint
from causalseg.models.checks import half_of
from causalseg.models.metadata import check_threshold
from causalseg.models.output import SegmentationOutput
from causalseg.models.trust import Trust
from causalseg.text.reading import Sides

NO_FINDING = -20.0
"""Logit of a place that is known to hold nothing."""


class Segmenter:
    """A trained model, ready for images and sentences.

    Example:
        >>> segmenter = Segmenter.load("default")
        >>> result = segmenter("xray.png", "one infected area, lower left lung.")
        >>> result.mask.sum(), result.save("out", "xray")

    """

    def __init__(
        self,
        model: SegmentationModel,
        preprocessing: Preprocessing,
        threshold: float,
        *,
        device: str = "cpu",
        provenance: dict[str, Any] | None = None,
        trust: Trust | None = None,
    ) -> None:
        self.device = usable_device(device)
        self.model = model.eval().to(self.device)
        self.preprocessing = preprocessing
        self.threshold = check_threshold(threshold, "this segmenter")
        self.provenance = provenance or {}
        self.trust = trust or Trust()
        self._encode_text = TextCache(self.model)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        compile: bool = False,
    ) -> Self:
        """Load a checkpoint; the name `default` means the model that comes with the package.

        Batch norms are folded into their convolutions, so `model` is for inference only.

        Args:
            path: a `.safetensors` checkpoint, or what `causalseg export` made of one (`.onnx`, or
                OpenVINO's `.xml`).
            device: as PyTorch names it, e.g. "cpu" or "cuda", or "auto" for a GPU if there is one;
                exported files run on the CPU.
            precision: "bf16" computes the image path in bfloat16, for processors that are faster
                at it (docs/results/performance.md has what it costs in Dice).
            compile: compile the image path with `torch.compile`, which takes a C++ compiler and
                a minute or more on the first call and on the first of another batch size.

        Raises:
            InputError: there is no such file, it is not a checkpoint, or the options do not fit it.

        """
        path = default_checkpoint() if str(path) == DEFAULT else Path(path)
        if is_exported(path):
            saved = load_exported(path, device=device, precision=precision, compile=compile)
        else:
            saved = load_checkpoint(path)
        preprocessing = Preprocessing.from_dict(saved.preprocessing, path.name)
        if not is_exported(path):
            optimise(saved.model, precision, _example(preprocessing))
            if compile:
                compiled(saved.model)
        return cls(
            saved.model,
            preprocessing,
            saved.threshold,
            device=device,
            provenance=saved.provenance,
            trust=saved.trust,
        )

    def sentence(
        self, text: str | Sentence, sides: Sides | None = None, *, strict: bool = False
    ) -> Sentence:
        """Read a text for this model: see `causalseg.inference.sentences.read_for`."""
        if not self.model.reads_text:
            return unread_sentence(text, strict=strict)
        return read_for(self.provenance, text, sides, strict=strict)

    def __call__(
        self,
        image: ImageLike,
        text: str | Sentence,
        *,
        sides: Sides | None = None,
        strict: bool = False,
    ) -> Segmentation:
        """Segment one image by one sentence.

        Args:
            image: a path (PNG, JPEG, TIFF, BMP, or DICOM and NIfTI with one frame), a Pillow
                image, bytes, a binary file, or an array or tensor (H, W), (H, W, 1), (H, W, 3);
                arrays that are not uint8 are scaled from their minimum and maximum to 0..255.
            text: not empty. For a model of chest images it is read, and the model is given the
                canonical sentence (`Segmentation.read_as`).
            sides: whose left the text means where it does not say so: "patient" (the default, as
                in reports) or "viewer" (the default in the wording of QaTa-COV19's captions).
            strict: refuse a text that is not understood, in place of a warning.

        Raises:
            InputError: the image cannot be used, the text is empty, or `strict` refuses it.

        """
        return self.prompts(image, [text], sides=sides, strict=strict)[0]

    def batch(
        self,
        images: Sequence[ImageLike],
        texts: Sequence[str | Sentence],
        *,
        sides: Sides | None = None,
        strict: bool = False,
    ) -> list[Segmentation]:
        """Segment several images, each by its own sentence."""
        if len(images) != len(texts):
            raise InputError(f"{len(images)} images and {len(texts)} texts do not pair up.")
        if not images:
            return []
        sentences = [self.sentence(text, sides, strict=strict) for text in texts]
        pictures = [as_picture(image) for image in images]
        encoded = self.encode([picture.pixels for picture in pictures])
        output = self.answer(encoded, [sentence.given for sentence in sentences])
        return [
            self._result(p, s, encoded, output, i)
            for i, (p, s) in enumerate(zip(pictures, sentences, strict=True))
        ]

    def prompts(
        self,
        image: ImageLike,
        texts: Sequence[str | Sentence],
        *,
        sides: Sides | None = None,
        strict: bool = False,
    ) -> list[Segmentation]:
        """Segment one image by several sentences; the image is encoded once."""
        if not texts:
            return []
        sentences = [self.sentence(text, sides, strict=strict) for text in texts]
        picture = as_picture(image)
        encoded = self.encode([picture.pixels])
        output = self.answer(encoded, [sentence.given for sentence in sentences])
        return [self._result(picture, one, encoded, output, i) for i, one in enumerate(sentences)]

    @torch.inference_mode()
    def encode(self, images: Sequence[NDArray[np.uint8]]) -> EncodedImages:
        """Compute of B images what their texts share.

        Args:
            images: uint8, (H, W) or (H, W, 3), of any sizes.

        """
        batch = torch.stack([self.preprocessing.image(image) for image in images])
        features = self.model.encode_image(batch.to(self.device))
        summary = self.model.summarise(features)
        presence, unlocated = self.trust.presence, None
        if presence is not None:
            tokens = self.preprocessing.tokens([presence.text] * len(images)).to(self.device)
            unlocated = probabilities(self.model.segment(features, self._encode_text(tokens)))
        return EncodedImages(
            features,
            len(images),
            None if summary is None else summary.float().cpu().numpy(),
            unlocated,
        )

    @torch.inference_mode()
    def answer(self, images: EncodedImages, texts: Sequence[str]) -> SegmentationOutput:
        """What the model says at its own size S x S: logits (T, 1, S, S), and all it has besides.

        A lung that a text names and in which the image shows nothing is left empty (see
        `PresenceCheck`), where the checkpoint knows how to tell.

        Args:
            images: of `encode`: T images, or one that is shared by all texts.
            texts: T sentences; "" too, as controls need.

        """
        if images.count not in (1, len(texts)):
            raise InputError(f"{images.count} images and {len(texts)} texts do not pair up.")
        tokens = self.preprocessing.tokens(texts).to(self.device)
        output = self.model.segment(images.features, self._encode_text(tokens))
        healthy = [self._healthy(images, i, text) for i, text in enumerate(texts)]
        if any(healthy):
            logits = output.logits.clone()
            for one, sides in zip(logits, healthy, strict=True):
                for side in sides:
                    one[half_of(one.shape[-1], side)] = NO_FINDING
            output = replace(output, logits=logits)
        return output

    def _healthy(self, images: EncodedImages, index: int, text: str) -> list[str]:
        """Sides of the picture that a caption names and in which the image shows nothing."""
        if self.trust.presence is None or images.unlocated is None:
            return []
        unlocated = images.unlocated[min(index, images.count - 1)]
        return self.trust.presence.healthy(unlocated, named_halves(text, self.provenance))

    def probabilities(
        self, images: EncodedImages | Sequence[NDArray[np.uint8]], texts: Sequence[str]
    ) -> NDArray[np.float32]:
        """Probabilities at the model's own size, (T, S, S), for measuring.

        Args:
            images: T images as `encode` takes or gives them, or one that is shared by all texts.
            texts: T sentences; "" too, as controls need.

        """
        encoded = images if isinstance(images, EncodedImages) else self.encode(images)
        return probabilities(self.answer(encoded, texts))

    def _result(
        self,
        picture: Picture,
        sentence: Sentence,
        encoded: EncodedImages,
        output: SegmentationOutput,
        index: int,
    ) -> Segmentation:
        # The model saw the picture upright; the answer lies as the file does.
        undo, pixels = picture.display.undo, picture.pixels
        # A mask M depends on the image alone, so one image's maps serve all its texts.
        maps = {
            f"stage{stage}": undo(m[min(index, len(m) - 1)].mean(0).float().cpu().numpy())
            for stage, m in output.attention.items()
        }
        shape = (pixels.shape[0], pixels.shape[1])
        probability = resize_map(probabilities(output)[index], shape)
        if sentence.empty:
            probability = np.zeros_like(probability)
        mask = foreground(probability, self.threshold).astype(np.uint8)
        healthy = [] if sentence.empty else self._healthy(encoded, index, sentence.given)
        summary = None
        if encoded.summaries is not None:
            summary = encoded.summaries[min(index, encoded.count - 1)]
        warnings = (
            *picture.warnings,
            *self.trust.warnings(summary, mask, healthy),
            *sentence.about(pixels=int(mask.sum())),
        )
        expected = self.trust.overlap(probability, mask) if self.trust.overlap else None
        return Segmentation(
            undo(pixels),
            sentence.text,
            undo(mask),
            undo(probability),
            self.threshold,
            maps,
            warnings,
            sentence,
            expected,
        )


def _example(preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """A fixed image and sentence, on which a model's logits are compared."""
    size = preprocessing.size
    image = torch.randint(256, (size, size, 3), generator=torch.Generator().manual_seed(0))
    pixels = image.byte().numpy()
    return preprocessing.image(pixels)[None], preprocessing.tokens(["lower left lung"])
