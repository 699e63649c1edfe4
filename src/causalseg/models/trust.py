"""How far an answer can be believed: what a checkpoint knows about its own limits.

`causalseg calibrate` measures it on validation data and writes it into the checkpoint. Four
questions, each answered from what the forward pass has computed anyway:

- Is this an image of the right kind? (`ImageCheck`)
- Does the image show anything where the sentence says so? (`PresenceCheck`)
- How well will the mask overlap with a reader's? (`OverlapEstimate`)
- Does the mask lie where masks can lie? (`PlaceCheck`)

A checkpoint without these checks says nothing about them, and neither do its answers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from causalseg.errors import InputError
from causalseg.models.checks import ImageCheck, OverlapEstimate, PlaceCheck, PresenceCheck

NOT_CHECKED = (
    "whether the picture is one that the model can read was not checked: an exported file does "
    "not tell, the .safetensors checkpoint does."
)


@dataclass(frozen=True)
class Trust:
    """Everything a checkpoint knows about its limits; None where a check was not measured."""

    image: ImageCheck | None = None
    presence: PresenceCheck | None = None
    overlap: OverlapEstimate | None = None
    place: PlaceCheck | None = None
    image_left_out: bool = False
    """Whether there was an `image` check for which the file has no room."""

    def warnings(
        self, summary: NDArray[Any] | None, mask: NDArray[Any], healthy: Sequence[str]
    ) -> tuple[str, ...]:
        """Warnings that an answer needs.

        Args:
            summary: the image's features (D,), where the model gives them.
            mask: (H, W), upright.
            healthy: sides of the picture that were named and left empty.

        """
        notes = [
            NOT_CHECKED if self.image_left_out or (self.image and summary is None) else None,
            self.image.warning(summary) if self.image and summary is not None else None,
            self.presence.warning(healthy) if self.presence and healthy else None,
            self.place.warning(mask) if self.place else None,
        ]
        return tuple(note for note in notes if note)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Numbers and texts for the checkpoint's header, arrays for its tensors."""
        header: dict[str, Any] = {}
        arrays: dict[str, NDArray[Any]] = {}
        for part in CHECKS:
            check = getattr(self, part)
            if check is None:
                continue
            header[part] = {}
            for entry in fields(check):
                value = getattr(check, entry.name)
                if isinstance(value, np.ndarray):
                    arrays[f"{part}.{entry.name}"] = value
                else:
                    header[part][entry.name] = value
        return header, arrays

    def to_json(self) -> dict[str, Any]:
        """Everything but the image check, for files that hold only text."""
        header, arrays = replace(self, image=None).pack()
        for name, array in arrays.items():
            part, _, entry = name.partition(".")
            header[part][entry] = array.tolist()
        left_out = self.image is not None or self.image_left_out
        return header | ({"image_left_out": True} if left_out else {})

    @classmethod
    def unpack(
        cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: object
    ) -> Self:
        """Read what `pack` or `to_json` gave; `name` is what messages call the file.

        Raises:
            InputError: a part is absent, not finite or of another kind.

        """
        found: dict[str, Any] = {"image_left_out": header.get("image_left_out") is True}
        for part, check in CHECKS.items():
            if part not in header:
                continue
            own = {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{part}.")}
            values = {**header[part], **own} if isinstance(header[part], dict) else {}
            values = {key: _as_array(value) for key, value in values.items()}
            if values.keys() != {entry.name for entry in fields(check)} or not all(
                map(_sound, values.values())
            ):
                raise InputError(f"{name} is damaged: what it holds to check answers by ({part}).")
            found[part] = check(**values)
        return cls(**found)


def _as_array(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    try:
        return np.asarray(value, np.float32)
    except (TypeError, ValueError):
        return None


def _sound(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype == np.float32 and bool(np.isfinite(value).all())
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


CHECKS: dict[str, type[Any]] = {
    "image": ImageCheck,
    "presence": PresenceCheck,
    "overlap": OverlapEstimate,
    "place": PlaceCheck,
}
