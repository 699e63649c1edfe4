"""From an image and a sentence to a mask: the one door to a trained model's forward pass."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from causalseg import hub
from causalseg.data.images import Channels, Picture
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.backends import ExportedModel, is_exported
from causalseg.inference.default import HUB, MODEL_FILE, checkpoint_path
from causalseg.inference.device import streams_of, usable_device
from causalseg.inference.encoded import EncodedImages, deep_features, probabilities, segment_texts
from causalseg.inference.image_input import ImageLike, as_picture
from causalseg.inference.loading import ready_model
from causalseg.inference.optimise import Precision, TextCache
from causalseg.inference.segmentation import Segmentation, answer_of, checked
from causalseg.inference.sentences import NOT_MIRRORED, Sentence, read_for, unread_sentence
from causalseg.models.base import SegmentationModel
from causalseg.models.metadata import check_threshold
from causalseg.models.output import SegmentationOutput
from causalseg.models.presence import Shown
from causalseg.models.trust import Trust
from causalseg.text.captions import mirror_caption
from causalseg.text.reading import Sides


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
        source: Path | None = None,
        flip: bool = False,
    ) -> None:
        self.device = usable_device(device)
        self.model = model.eval().to(self.device)
        self.preprocessing = preprocessing
        self.threshold = check_threshold(threshold, "this segmenter")
        self.provenance, self.trust = provenance or {}, trust or Trust()
        self.source, self.flip = source, flip
        self._encode_text = TextCache(self.model)

    @property
    def streams(self) -> int:
        """Threads that may use it side by side to advantage; exported files have their own."""
        return 1 if isinstance(self.model, ExportedModel) else streams_of(self.device)

    def __repr__(self) -> str:
        size = self.preprocessing.size
        return (
            f"Segmenter({type(self.model).__name__}, {size} x {size} px, "
            f"threshold {self.threshold:g}, {self.device}{', flip' if self.flip else ''})"
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        compile: bool = False,
        threshold: float | None = None,
        flip: bool = False,
    ) -> Self:
        """Load a checkpoint for inference; `default` is the model that comes with the package.

        Args:
            path: a `.safetensors` checkpoint, or what `causalseg export` made of one (`.onnx`, or
                OpenVINO's `.xml`), or `hf:OWNER/NAME[/FILE]` on the Hugging Face hub.
            device: "auto" (a GPU if there is one), "gpu", or PyTorch's name, such as "cuda:1";
                exported files run on the CPU.
            precision: "bf16" computes the image path in bfloat16, for processors that are faster
                at it (docs/results/performance.md has what it costs in Dice).
            compile: compile the image path with `torch.compile`, which takes a C++ compiler and
                a minute or more on the first call and on the first of another batch size.
            threshold: probability from which a pixel is in the mask, in place of the model's own.
            flip: answer about the mirrored image and sentence too, and average both: twice the
                time, and no answer depends on which way round the picture lies.

        Raises:
            InputError: there is no such file, it is not a checkpoint, or the options do not fit it.

        """
        path = checkpoint_path(path)
        device = "cpu" if device == "auto" and is_exported(path) else device
        saved, preprocessing = ready_model(path, device, precision, compile=compile)
        own = threshold in (None, saved.threshold)  # The expected Dice was measured at it.
        return cls(
            saved.model,
            preprocessing,
            saved.threshold if threshold is None else threshold,
            device=device,
            provenance=saved.provenance,
            trust=saved.trust if own else replace(saved.trust, overlap=None),
            source=path,
            flip=flip,
        )

    def push(self, name: str, *, private: bool = True) -> str:
        """Upload the checkpoint that was loaded, as it is, to the Hugging Face hub.

        `Segmenter.load("hf:OWNER/NAME")` then fetches it. The token is that of `hf auth login`,
        or HF_TOKEN in the environment. A repository that is not there yet is made.

        Returns:
            The address of the upload.

        Raises:
            InputError: it was not loaded from a .safetensors file, or the hub does not take it.

        """
        if self.source is None or self.source.suffix != ".safetensors":
            raise InputError("push needs a segmenter that was loaded from a .safetensors file.")
        return hub.push(self.source, name.removeprefix(HUB), MODEL_FILE, private=private)

    def sentence(
        self, text: str | Sentence, sides: Sides | None = None, *, strict: bool = False
    ) -> Sentence:
        """Read a text for this model: see `causalseg.inference.sentences.read_for`."""
        if not isinstance(text, str | Sentence):
            raise InputError(
                f"the text is {type(text).__name__}, not a sentence: give the image first, then "
                "what to segment, such as 'lower left lung'."
            )
        if not self.model.reads_text:
            return unread_sentence(text, strict=strict)
        found = read_for(self.provenance, text, sides, strict=strict)
        if self.flip and mirror_caption(found.given) is None:
            found = replace(found, warnings=(*dict.fromkeys([*found.warnings, NOT_MIRRORED]),))
        return found

    def __call__(
        self,
        image: ImageLike,
        text: str | Sentence,
        *,
        sides: Sides | None = None,
        strict: bool = False,
        channels: Channels = "last",
    ) -> Segmentation:
        """Segment one image by one sentence.

        Args:
            image: a path, the bytes or a binary file (PNG, JPEG, TIFF, BMP, or DICOM and NIfTI
                with one frame), a Pillow image of any mode, or an array or tensor (H, W),
                (H, W, 1), (H, W, 3); arrays that are not uint8 are scaled from their minimum and
                maximum to 0..255.
            text: not empty. For a model of chest images it is read, and the model is given the
                canonical sentence (`Segmentation.read_as`).
            sides: whose left the text means where it does not say so: "patient" (the default, as
                in reports) or "viewer" (the default in the wording of QaTa-COV19's captions).
            strict: refuse a text that is not understood, in place of a warning.
            channels: "first" for arrays and tensors (1, H, W) or (3, H, W).

        Raises:
            InputError: the image cannot be used, the text is empty, or `strict` refuses it.

        """
        return self.prompts(image, [text], sides=sides, strict=strict, channels=channels)[0]

    def batch(
        self,
        images: Sequence[ImageLike] | NDArray[Any],
        texts: str | Sentence | Sequence[str | Sentence],
        *,
        sides: Sides | None = None,
        strict: bool = False,
        channels: Channels = "last",
    ) -> list[Segmentation]:
        """Segment B images, each by its own sentence, or all by one.

        Args:
            images: a list of what `__call__` takes, or an array or tensor (B, H, W[, C]), with
                `channels="first"` (B, C, H, W).
            texts: B sentences, or one.
            sides: as `__call__` takes it, and so are `strict` and `channels`.

        """
        if isinstance(images, str | Path | bytes):
            raise InputError("batch takes a list of images: write [image], or call the segmenter.")
        if isinstance(texts, str | Sentence):
            texts = [texts] * len(images)
        if len(images) != len(texts):
            raise InputError(f"{len(images)} images and {len(texts)} texts do not pair up.")
        if len(images) == 0:
            return []
        pictures = [as_picture(image, channels, self.provenance) for image in images]
        sentences = [self.sentence(t, sides, strict=strict) for t in texts]
        if self.device.type == "cpu" and not isinstance(self.model, ExportedModel):
            # No slower than together.
            return [self._results([p], [s])[0] for p, s in zip(pictures, sentences, strict=True)]
        return self._results(pictures, sentences)

    def prompts(
        self,
        image: ImageLike,
        texts: str | Sentence | Sequence[str | Sentence],
        *,
        sides: Sides | None = None,
        strict: bool = False,
        channels: Channels = "last",
    ) -> list[Segmentation]:
        """Segment one image by several sentences, or by one; the image is encoded once."""
        if texts is None or isinstance(texts, str | Sentence):
            texts = [texts]
        if not texts:
            return []
        sentences = [self.sentence(text, sides, strict=strict) for text in texts]
        return self._results([as_picture(image, channels, self.provenance)], sentences)

    @torch.inference_mode()
    def encode(self, images: Sequence[NDArray[np.uint8]]) -> EncodedImages:
        """Compute of B images what their texts share.

        Args:
            images: uint8, (H, W) or (H, W, 3), of any sizes.

        """
        batch = torch.stack([self.preprocessing.image(image) for image in images]).to(self.device)
        mirrored = self.model.encode_image(batch.flip(-1)) if self.flip else None
        return EncodedImages(self.model.encode_image(batch), len(images), mirrored)

    def answer(self, images: EncodedImages, texts: Sequence[str]) -> SegmentationOutput:
        """What the model says at its own size S x S: logits (T, 1, S, S), and all it has besides.

        A lung that a text names and in which the image shows nothing is left empty (see
        `PresenceCheck`), where the checkpoint knows how to tell.

        Args:
            images: of `encode`: T images, or one that is shared by all texts.
            texts: T sentences; "" too, as controls need.

        """
        return self._answer(images, texts)[0]

    @torch.inference_mode()
    def _answer(
        self, images: EncodedImages, texts: Sequence[str]
    ) -> tuple[SegmentationOutput, list[Shown]]:
        if images.count not in (1, len(texts)):
            raise InputError(f"{images.count} images and {len(texts)} texts do not pair up.")
        if not self.model.reads_text:
            texts = [""] * len(texts)  # which can be mirrored
        return segment_texts(self._segment, images, texts, self.trust.presence, self.provenance)

    def _segment(self, features: Any, texts: Sequence[str]) -> SegmentationOutput:
        tokens = self.preprocessing.tokens(texts).to(self.device)
        return self.model.segment(features, self._encode_text(tokens))

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

    def _results(self, pictures: list[Picture], sentences: list[Sentence]) -> list[Segmentation]:
        """Answers to T sentences about T pictures, or about one that is shared."""
        images = self.encode([picture.pixels for picture in pictures])
        output, shown = self._answer(images, [sentence.given for sentence in sentences])
        found = []
        for i, sentence in enumerate(sentences):
            shared = min(i, images.count - 1)
            answer = answer_of(pictures[shared], sentence, output, i, self.threshold)
            upright = pictures[shared].display.apply(answer.mask)
            asked = Shown() if sentence.empty else shown[i]
            deep = deep_features(output, i)
            found.append(checked(answer, self.trust, upright, deep, asked))
        return found
