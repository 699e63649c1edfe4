"""From an image and a sentence to a mask: the one door to a trained model's forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from causalseg.data.images import Picture, decode_picture, picture_of, read_image_bytes
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.backends import is_exported, load_exported
from causalseg.inference.default import DEFAULT, default_checkpoint
from causalseg.inference.formats import kind_of, read_study
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.optimise import Precision, TextCache, compiled, optimise
from causalseg.inference.sentences import Sentence, read_for, unread_sentence
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import load_checkpoint
from causalseg.models.metadata import check_threshold
from causalseg.models.output import SegmentationOutput
from causalseg.text.reading import Sides

ImageLike = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""A path of any format, the bytes or binary file of a picture, a Pillow image, or an array."""


@dataclass(frozen=True)
class Segmentation:
    """A mask and how it came about. All arrays but `attention` have the source's (H, W)."""

    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3): the source's pixels."""
    text: str
    """As written."""
    mask: NDArray[np.uint8]
    """(H, W) in {0, 1}: where the probability reaches the threshold."""
    probability: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    threshold: float
    attention: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """"stage2", ... -> causal mask M at that stage's own size, in [0, 1]; a mask per channel is
    averaged over channels. The confounding mask is `1 - M`."""
    warnings: tuple[str, ...] = ()
    """What must be known before the mask is trusted, one sentence each."""
    sentence: Sentence | None = None
    """How the text was read."""

    @property
    def read_as(self) -> str:
        """The sentence that the text was read as; "" where it was taken as written."""
        return self.sentence.read_as if self.sentence else ""

    @property
    def meant(self) -> str:
        """Which lungs that is, by the picture and by the patient, in words."""
        return self.sentence.meant if self.sentence else ""

    def save(self, folder: str | Path, name: str) -> list[Path]:
        """Write mask, probability, overlay and heat maps as PNG files named `NAME_*.png`.

        Returns:
            The files written.

        """
        from causalseg.inference.outputs import save_pictures

        return save_pictures(self, Path(folder), name)


@dataclass(frozen=True)
class EncodedImages:
    """What a model computes of images before it reads a text."""

    features: Any
    """Of the model's `encode_image`."""
    count: int
    """Images."""


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
    ) -> None:
        self.device = usable_device(device)
        self.model = model.eval().to(self.device)
        self.preprocessing = preprocessing
        self.threshold = check_threshold(threshold, "this segmenter")
        self.provenance = provenance or {}
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
            device: as PyTorch names it, e.g. "cpu" or "cuda"; exported files run on the CPU.
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
            self._result(p, s, output, i)
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
        output = self.answer(
            self.encode([picture.pixels]), [sentence.given for sentence in sentences]
        )
        return [self._result(picture, one, output, i) for i, one in enumerate(sentences)]

    @torch.inference_mode()
    def encode(self, images: Sequence[NDArray[np.uint8]]) -> EncodedImages:
        """Compute of B images what their texts share.

        Args:
            images: uint8, (H, W) or (H, W, 3), of any sizes.

        """
        batch = torch.stack([self.preprocessing.image(image) for image in images])
        return EncodedImages(self.model.encode_image(batch.to(self.device)), len(images))

    @torch.inference_mode()
    def answer(self, images: EncodedImages, texts: Sequence[str]) -> SegmentationOutput:
        """What the model says at its own size S x S: logits (T, 1, S, S), and all it has besides.

        Args:
            images: of `encode`: T images, or one that is shared by all texts.
            texts: T sentences; "" too, as controls need.

        """
        if images.count not in (1, len(texts)):
            raise InputError(f"{images.count} images and {len(texts)} texts do not pair up.")
        tokens = self.preprocessing.tokens(texts).to(self.device)
        return self.model.segment(images.features, self._encode_text(tokens))

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
        self, picture: Picture, sentence: Sentence, output: SegmentationOutput, index: int
    ) -> Segmentation:
        # The model saw the picture upright; the answer lies as the file does.
        undo, pixels = picture.display.undo, picture.pixels
        # A mask M depends on the image alone, so one image's maps serve all its texts.
        maps = {
            f"stage{stage}": undo(m[min(index, len(m) - 1)].mean(0).float().cpu().numpy())
            for stage, m in output.attention.items()
        }
        shape = (pixels.shape[0], pixels.shape[1])
        probability = undo(resize_map(probabilities(output)[index], shape))
        if sentence.empty:
            probability = np.zeros_like(probability)
        mask = foreground(probability, self.threshold).astype(np.uint8)
        return Segmentation(
            undo(pixels),
            sentence.text,
            mask,
            probability,
            self.threshold,
            maps,
            (*picture.warnings, *sentence.about(pixels=int(mask.sum()))),
            sentence,
        )


def probabilities(output: SegmentationOutput) -> NDArray[np.float32]:
    """The foreground probability of each text, (T, S, S) float32."""
    found: NDArray[np.float32] = output.logits.sigmoid()[:, 0].float().cpu().numpy()
    return found


def _example(preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """A fixed image and sentence, on which a model's logits are compared."""
    size = preprocessing.size
    image = torch.randint(256, (size, size, 3), generator=torch.Generator().manual_seed(0))
    pixels = image.byte().numpy()
    return preprocessing.image(pixels)[None], preprocessing.tokens(["lower left lung"])


def usable_device(name: str) -> torch.device:
    """The device of that name; InputError where there is none such on this machine."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(f"there is no device {name!r} here: use cpu, or a GPU's name.") from None
    return device


def as_picture(image: ImageLike) -> Picture:
    """Read or convert to upright uint8 pixels, (H, W) or (H, W, 3), by the rules of `data.images`.

    Raises:
        InputError: unreadable, of several frames, of another shape, empty, or not finite.

    """
    if not isinstance(image, str | Path):
        return picture_of(image)
    path = Path(image)
    if kind_of(path) not in ("dicom", "nifti"):
        return decode_picture(read_image_bytes(path), str(path))
    study = read_study(path)
    if len(study.frames) != 1:
        raise InputError(
            f"the file holds {len(study.frames)} frames where one image is wanted: use "
            "'causalseg predict', or give one frame as an array."
        )
    return Picture(study.frames[0], study.display, study.warnings)
