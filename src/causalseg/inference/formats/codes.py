"""Coded concepts of a DICOM SEG: what a segment shows, and in which region."""

from dataclasses import dataclass

from causalseg.errors import InputError


@dataclass(frozen=True)
class Concept:
    """A coded concept: value, coding scheme, meaning."""

    value: str
    scheme: str
    meaning: str


LESION = Concept("52988006", "SCT", "Lesion")
CATEGORY = Concept("49755003", "SCT", "Morphologically Abnormal Structure")
# DICOM's Body Part Examined (PS3.16 annex L) to the anatomic region that is coded.
ANATOMY = {
    "CHEST": Concept("39607008", "SCT", "Lung"),
    "THORAX": Concept("39607008", "SCT", "Lung"),
    "LUNG": Concept("39607008", "SCT", "Lung"),
    "COLON": Concept("71854001", "SCT", "Colon"),
    "ABDOMEN": Concept("818983003", "SCT", "Abdomen"),
    "BREAST": Concept("76752008", "SCT", "Breast"),
    "BRAIN": Concept("12738006", "SCT", "Brain"),
}


def parse_concept(text: str, option: str) -> Concept:
    """`SCHEME:VALUE:MEANING` as given on the command line.

    Raises:
        InputError: naming the option.

    """
    parts = [part.strip() for part in text.split(":", 2)]
    if len(parts) != 3 or not all(parts) or len(parts[0]) > 16 or len(parts[1]) > 16:
        raise InputError(
            f"{option} wants SCHEME:VALUE:MEANING, such as SCT:52988006:Lesion, not {text!r}."
        )
    if len(parts[2]) > 64:
        raise InputError(f"{option}: a code's meaning has at most 64 characters.")
    return Concept(parts[1], parts[0], parts[2])
