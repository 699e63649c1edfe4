"""Which way the patient lies in a DICOM image: read from the header, never from the pixels.

The rule: pictures are shown to the model in the standard display (`Display`), because that is how
its training images were displayed, and masks are turned back to the source's own geometry.

1. Image Orientation (Patient), then Patient Orientation, give the direction of rows and columns.
   A mirrored, turned or upside-down image is turned for the model, and a warning says so.
2. Where neither is present the pixels are taken as stored, and a warning says that the sides
   could not be confirmed. View Position alone (PA, AP) does not tell whether an image is mirrored.
3. In a lateral view, and where (Frame or Image) Laterality names one side that the prompt does
   not, a warning says so; nothing is guessed.
"""

from collections.abc import Sequence

from causalseg.inference.formats.study import Display

# Direction letter -> (body axis, whether it is the standard display's direction on that axis).
_LETTERS = {
    "L": ("x", True),
    "R": ("x", False),
    "P": ("y", True),
    "A": ("y", False),
    "F": ("z", True),
    "H": ("z", False),
}
_OPPOSITES = ("LR", "PA", "HF")
# The two body axes in the picture -> (axis along the columns, axis down the rows).
_STANDARD = {
    frozenset("xz"): ("x", "z"),
    frozenset("xy"): ("x", "y"),
    frozenset("yz"): ("y", "z"),
}
# Views that show both sides one over the other (DICOM PS3.3 C.8.1.2 and C.8.11.5).
LATERAL_VIEWS = ("LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "ML", "LM")


def names_plane(cosines: Sequence[float | None]) -> bool:
    """Whether six numbers are two directions at right angles, within a tenth."""
    numbers = [number for number in cosines if number is not None]
    if len(cosines) != 6 or len(numbers) != 6:
        return False
    across, down = numbers[:3], numbers[3:]
    lengths = [sum(x * x for x in part) ** 0.5 for part in (across, down)]
    right = abs(sum(x * y for x, y in zip(across, down, strict=True))) < 0.1
    nearest = {letters_of(across) in pair and letters_of(down) in pair for pair in _OPPOSITES}
    return right and all(0.9 < length < 1.1 for length in lengths) and True not in nearest


def letters_of(cosines: Sequence[float | None]) -> str:
    """Nearest body direction of a direction cosine in DICOM's patient system (+x left, +y back)."""
    numbers = [number or 0.0 for number in cosines]
    axis = max(range(3), key=lambda i: abs(numbers[i]))
    return ("LR", "PA", "HF")[axis][0 if numbers[axis] >= 0 else 1]


def display_of(columns: str, rows: str) -> Display | None:
    """The turn that brings an image to the standard display.

    Args:
        columns: direction in which the column number grows, such as "L" or "LF" (oblique; the
            first letter is the main direction).
        rows: direction in which the row number grows, such as "F".

    Returns:
        None when the letters are not two different body axes.

    """
    if columns[:1] not in _LETTERS or rows[:1] not in _LETTERS:
        return None
    across, down = _LETTERS[columns[0]], _LETTERS[rows[0]]
    standard = _STANDARD.get(frozenset((across[0], down[0])))
    if standard is None:
        return None
    transpose = across[0] != standard[0]
    if transpose:
        across, down = down, across
    return Display(transpose, flip_rows=not down[1], flip_columns=not across[1])


def orientation_warnings(display: Display | None, turn: str) -> list[str]:
    """One sentence about the turn, for the report."""
    if display is None:
        return [
            "the header does not say which way the patient lies (no Image Orientation (Patient), "
            "no Patient Orientation): the pixels are taken as stored and the sides are unconfirmed."
        ]
    if display.identity:
        return []
    deeds = [
        name
        for name, done in (
            ("its axes swapped", display.transpose),
            ("turned upside down", display.flip_rows),
            ("mirrored", display.flip_columns),
        )
        if done
    ]
    return [
        f"the header says that the image is stored {turn}: for the model it was "
        f"{' and '.join(deeds)}; the outputs are in the source's own geometry."
    ]


def side_warnings(
    sides: frozenset[str] | None, laterality: str | None, lateral_view: bool, known: bool
) -> list[str]:
    """Warnings for a prompt that names a side, from the header alone.

    Args:
        sides: the lungs asked for, "left" and "right" as the patient's; None where the prompt
            names a side and whose it is cannot be told.
        laterality: "L" or "R" where the header says that the image shows one side only.
        lateral_view: the header's view position is a lateral one.
        known: the header gave the image's orientation.

    """
    if sides is not None and not sides:
        return []
    found = []
    if sides is None:
        found.append("a side in the prompt means what it meant in the model's training captions.")
    shown = {"L": "left", "R": "right"}.get(laterality or "")
    if shown and sides != frozenset({shown}):
        asked = (
            "" if sides is None else f", and the patient's {' and '.join(sorted(sides))} is asked"
        )
        found.append(
            f"the header says that the image shows the patient's {shown} side only{asked}."
        )
    if lateral_view:
        found.append("the header says that this is a lateral view, where sides lie on each other.")
    if not known:
        found.append("the prompt names a side, but the header does not confirm the sides.")
    return found
