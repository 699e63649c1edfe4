"""What is asked of one image, and the model's answer to it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.formats import Study
from causalseg.inference.outcome import ReadText
from causalseg.inference.outputs import Save
from causalseg.inference.requests import Prompt
from causalseg.inference.segmentation import Segmentation
from causalseg.inference.sentences import Sentence
from causalseg.models.checks import Expected
from causalseg.text.reading import Sides

if TYPE_CHECKING:
    from causalseg.inference.segmenter import Segmenter

OutputFormat = Literal["auto", "png", "seg", "nifti"]
# Prompts that are decoded together; each group encodes its image once.
_PROMPTS_AT_ONCE = 32
# Mask and probability of all prompts of an item, in pixels: about 10 GB.
_MAX_ANSWERS = 2**31


@dataclass(frozen=True)
class PredictOptions:
    """How to read and write; picklable, the same for all items."""

    format: OutputFormat = "auto"
    seg_type: Literal["binary", "fractional"] = "binary"
    axis: str = "axial"
    window: tuple[float, float] | None = None
    finding: str | None = None
    """`SCHEME:VALUE:MEANING` of the segments; by default SCT 52988006, lesion."""
    anatomy: str | None = None
    """`SCHEME:VALUE:MEANING`; by default from the header's body part."""
    model: str = ""
    """Identity of the checkpoint, such as its SHA-256: another model's results are not reused."""
    sides: Sides | None = None
    """Whose left the texts mean where they do not say so; None: see `read_for`."""
    strict: bool = False
    """Refuse texts that are not understood."""
    threshold: float | None = None
    """Probability from which a pixel is in the mask; None: the model's own."""
    min_quality: float | None = None
    """Set masks aside whose expected Dice lies below this, for a reader to look at."""
    flip: bool = False
    """Average each answer with that to the mirrored image and sentence."""
    save: Save = "all"
    """"mask": leave out probabilities and pictures."""
    resume: bool = False
    """Leave results alone that the same request has made already."""

    def settings(self) -> dict[str, Any]:
        """What decides the results; whether to resume does not."""
        found = asdict(self)
        del found["resume"]
        return found


@dataclass(frozen=True)
class Track:
    """One mask to be made: the text for each frame that has one."""

    texts: Mapping[int, str]
    description: str


@dataclass
class TrackAnswer:
    """Masks and probabilities (n, H, W) of a track, in the standard display."""

    track: Track
    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    sentences: Mapping[int, Sentence]
    """The track's texts as they were read."""
    result: Segmentation | None = None
    """Of the only frame, for pictures; None for volumes."""
    told_of_frames: list[str] = field(default_factory=list)
    """What the model's answers to the frames of a volume must be trusted with."""

    def told(self) -> ReadText:
        """What the track's texts were read as, and which lungs that is, in words."""
        found = {}
        for name in ("read_as", "meant"):
            words = {number: getattr(one, name) for number, one in self.sentences.items()}
            if len(set(words.values())) == 1:
                found[name] = next(iter(words.values()))
            else:
                found[name] = "; ".join(f"slice {n}: {text}" for n, text in words.items() if text)
        return ReadText(self.track.description, **found)

    @property
    def expected(self) -> Expected | None:
        """Dice to be expected of a picture's mask; None where that is not known."""
        return self.result.expected if self.result else None

    def warnings(self) -> tuple[str, ...]:
        """What must be said about the sentences and the mask, each once."""
        pixels = int(self.mask.sum())
        notes = [note for one in self.sentences.values() for note in one.about(pixels=pixels)]
        about = self.result.warnings if self.result else self.told_of_frames
        return tuple(dict.fromkeys([*about, *notes]))


def tracks_of(prompts: Sequence[Prompt], frames: int) -> list[Track]:
    """The masks that an item's prompts ask for.

    A prompt without a slice is for all frames and makes a mask of its own; all prompts with a
    slice make one more mask together.

    Raises:
        InputError: a slice that is not there, or two prompts for one slice.

    """
    tracks = [
        Track(dict.fromkeys(range(frames), prompt.text), prompt.text)
        for prompt in prompts
        if prompt.slice is None
    ]
    sliced: dict[int, str] = {}
    for prompt in prompts:
        if prompt.slice is None:
            continue
        if prompt.slice >= frames:
            raise InputError(f"there is no slice {prompt.slice}: it has {frames}, from 0.")
        if prompt.slice in sliced:
            raise InputError(f"slice {prompt.slice} has two prompts: keep one.")
        sliced[prompt.slice] = prompt.text
    if sliced:
        parts = (f"slice {number}: {text}" for number, text in sorted(sliced.items()))
        tracks.append(Track(sliced, "; ".join(parts)))
    return tracks


def segment_study(
    segmenter: "Segmenter",
    study: Study,
    tracks: Sequence[Track],
    sides: Sides | None = None,
    *,
    strict: bool = False,
) -> list[TrackAnswer]:
    """Run the model frame by frame; frames without a prompt stay empty (probability 0).

    Raises:
        InputError: too many masks, a text that `read_for` refuses, or an output not finite.

    """
    shape = (len(study.frames), *study.shape)
    if len(tracks) * np.prod([float(size) for size in shape]) > _MAX_ANSWERS:
        raise InputError(f"{len(tracks)} masks of this size are too many at once: ask for fewer.")
    answers = [
        TrackAnswer(
            track,
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.float32),
            {
                number: segmenter.sentence(text, sides, strict=strict)
                for number, text in track.texts.items()
            },
        )
        for track in tracks
    ]
    for number, frame in enumerate(study.frames):
        asked = [answer for answer in answers if number in answer.track.texts]
        for start in range(0, len(asked), _PROMPTS_AT_ONCE):
            group = asked[start : start + _PROMPTS_AT_ONCE]
            results = segmenter.prompts(frame, [answer.sentences[number] for answer in group])
            for answer, result in zip(group, results, strict=True):
                if not np.isfinite(result.probability).all():
                    raise InputError("the model's output is not finite: is the checkpoint sound?")
                answer.mask[number] = result.mask
                answer.probability[number] = result.probability
                if len(study.frames) == 1:
                    answer.result = result
                    continue
                said = result.sentence.about(pixels=0) if result.sentence else ()
                notes = [note for note in result.warnings if note not in said]
                answer.told_of_frames += [f"slice {number}: {note}" for note in notes]
    return answers
