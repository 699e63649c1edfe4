"""How far an answer can be believed: what a checkpoint knows about its own limits.

`causalseg calibrate` measures it on validation data and writes it into the checkpoint. Four
questions, each answered from what the forward pass has computed anyway:

- Is this an image of the right kind? (`ImageCheck`)
- Does the image show anything in the lung and the zones that the sentence names?
  (`PresenceCheck`)
- How well will the mask overlap with a reader's? (`OverlapEstimate`)
- Does the mask lie where masks can lie? (`PlaceCheck`)

A checkpoint without these checks says nothing about them, and neither do its answers.
"""

import binascii
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from causalseg.errors import InputError
from causalseg.models.checks import ImageCheck, OverlapEstimate, PlaceCheck
from causalseg.models.presence import PresenceCheck, Shown

NOT_CHECKED = (
    "whether the picture is one that the model can read, and shows anything in the lung that the "
    "text names, was not checked: {reason}."
)
OLD_EXPORT = "the file was exported by an earlier version; export it again"
NO_FEATURES = "the model gives no features of the image; use the .safetensors checkpoint"
OLD_CHECKS = "the file was calibrated by an earlier version; run causalseg calibrate on it again"


ZONES_NOT_CHECKED = (
    "whether the picture shows anything in the zones that the text names was not checked: "
    f"{OLD_CHECKS}."
)


@dataclass(frozen=True)
class Trust:
    """Everything a checkpoint knows about its limits; None where a check was not measured."""

    image: ImageCheck | None = None
    presence: PresenceCheck | None = None
    overlap: OverlapEstimate | None = None
    place: PlaceCheck | None = None
    not_checked: str = ""
    """Why checks of the image that the file once had cannot be made; "" where none is missing."""

    def warnings(
        self, deep: NDArray[Any] | None, mask: NDArray[Any], shown: Shown
    ) -> tuple[str, ...]:
        """Warnings that an answer needs.

        Args:
            deep: the image's deepest features (C, h, w), where the model gives them.
            mask: (H, W), upright.
            shown: lungs that are named and in which the image shows nothing, or little.

        """
        missing = self.not_checked
        if deep is None and (self.image or self.presence):
            missing = missing or NO_FEATURES
        notes = [
            NOT_CHECKED.format(reason=missing) if missing else None,
            self.image.warning(deep.mean((1, 2))) if self.image and deep is not None else None,
            *(self.presence.warnings(shown) if self.presence else ()),
            ZONES_NOT_CHECKED if self.presence and self.presence.zone < 0 else None,
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
        """Everything, for files that hold only text."""
        header, arrays = self.pack()
        for name, array in arrays.items():
            part, _, entry = name.partition(".")
            coded = b64encode(array.astype("<f4").tobytes()).decode()
            header[part][entry] = {"shape": list(array.shape), "float32": coded}
        return header | ({"not_checked": self.not_checked} if self.not_checked else {})

    @classmethod
    def unpack(
        cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], name: object
    ) -> Self:
        """Read what `pack` or `to_json` gave; `name` is what messages call the file.

        Raises:
            InputError: a part is absent, not finite or of another kind.

        """
        found: dict[str, Any] = {"not_checked": _not_checked(header)}
        for part, check in CHECKS.items():
            if part not in header or _is_old(part, header[part]):
                continue
            own = {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{part}.")}
            values = {**header[part], **own} if isinstance(header[part], dict) else {}
            values = {key: _as_array(value) for key, value in values.items()}
            damaged = InputError(f"{name} is damaged: what it holds to check answers by ({part}).")
            known = {entry.name for entry in fields(check)}
            needed = {entry.name for entry in fields(check) if entry.default is MISSING}
            if not needed <= values.keys() <= known or not all(map(_sound, values.values())):
                raise damaged
            try:
                found[part] = check(**values)
            except (TypeError, ValueError, AttributeError):
                raise damaged from None
        return cls(**found)


def _is_old(part: str, values: object) -> bool:
    """Whether a presence check asked the model a sentence, as it did at first."""
    return part == "presence" and isinstance(values, dict) and "text" in values


def _not_checked(header: Mapping[str, Any]) -> str:
    if header.get("image_left_out") is True:
        return OLD_EXPORT
    if _is_old("presence", header.get("presence")):
        return OLD_CHECKS
    return OLD_EXPORT if header.get("not_checked") else ""


def _as_array(value: Any) -> Any:
    """Arrays as `to_json` writes them, or as lists; None for what is neither."""
    try:
        if isinstance(value, dict):
            flat = np.frombuffer(b64decode(value["float32"], validate=True), "<f4")
            return flat.reshape(value["shape"]).astype(np.float32)
        return np.asarray(value, np.float32) if isinstance(value, list) else value
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error):
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
