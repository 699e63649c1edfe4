"""The source of a DICOM SEG, made fit to refer to: a copy whose faulty values are mended.

A SEG copies the patient's and the study's attributes, and a writer that keeps to the standard
refuses values that do not conform. Archives hold many: `Male`, `2020-01-01`, `14:04:38`, `45`,
names in a character set that is not the declared one. They are brought to the standard's form where
that is certain, and left empty (or out) where it is not; the source itself is never changed.
"""

import datetime
import re
from typing import Any

from causalseg.errors import InputError


class UnfitSourceError(InputError):
    """The source's header lacks what a DICOM SEG must refer to or copy."""


# Attributes that a SEG must have, with or without a value.
_TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_TYPE_1 = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_PLANE = ("ImagePositionPatient", "ImageOrientationPatient")
# Identification, patient, trial, study and request; the image's own groups stay as they are.
_GROUPS = (0x0008, 0x0010, 0x0012, 0x0032, 0x0038, 0x0040)
_SEXES = {"MALE": "M", "FEMALE": "F", "OTHER": "O", "M": "M", "F": "F", "O": "O"}
_DATE = re.compile(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})")
_TIME = re.compile(r"(\d{1,2}):?(\d{2})?:?(\d{2})?(\.\d{1,6})?")
_DATE_TIME = re.compile(r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?")
_TEXT = ("LO", "SH", "LT", "ST", "UT", "UC", "PN")
# Nominal, for images that have none: readers of SEG require one beside the pixel spacing.
NOMINAL_THICKNESS = 1.0


def fit_source(source: Any) -> tuple[Any, list[str]]:
    """A copy of a data set, without its pixels, from which a SEG can be made, and warnings.

    Raises:
        UnfitSourceError: it lacks an identifier that cannot be invented.

    """
    from pydicom.dataset import Dataset

    for name in _TYPE_1:
        if not _is_uid(source, name):
            raise UnfitSourceError(
                f"a DICOM SEG must refer to its source, whose header has no (single) {name}: "
                "use --format png."
            )
    copy = Dataset()
    copy.file_meta = source.file_meta
    mended: list[str] = []
    for tag in source.keys():  # noqa: SIM118 - iterating a data set parses its pixels too
        if tag.group == 0x7FE0 or tag.is_private:
            continue
        _copy_element(source, copy, tag, mended)
    copy.SpecificCharacterSet = "ISO_IR 192"
    for name in _TYPE_2:
        copy.setdefault(name, "")
    notes = []
    if mended:
        notes = [
            f"the header's {', '.join(sorted(set(mended)))} did not keep to the standard: the "
            "DICOM SEG has a mended or an empty value."
        ]
    return copy, notes + _place(copy)


def _is_uid(source: Any, name: str) -> bool:
    try:
        value = source.get(name)
    except Exception:  # not an existing value representation
        return False
    return isinstance(value, str) and bool(value)


def _copy_element(source: Any, copy: Any, tag: Any, mended: list[str]) -> None:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
    from pydicom.dataelem import DataElement

    name = keyword_for_tag(tag) or str(tag)
    try:
        element = source[tag]
        if tag.group not in _GROUPS:
            copy[tag] = element
            return
        # Explicit files may name another value representation than the standard's.
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else element.VR
        value = _sequence(element, mended) if element.VR == "SQ" else _value(element, vr)
        made = DataElement(tag, vr, value)
    except Exception:  # A value that cannot be parsed raises one of many kinds.
        mended.append(name)
        return
    if value != element.value and not (vr in _TEXT and str(value) == str(element.value)):
        mended.append(name)
    copy[tag] = made


def _sequence(element: Any, mended: list[str]) -> Any:
    """The items of a sequence, each mended."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    items = []
    for item in element.value:
        made = Dataset()
        for tag in item.keys():  # noqa: SIM118
            if not tag.is_private:
                _copy_element(item, made, tag, mended)
        items.append(made)
    return Sequence(items)


def _value(element: Any, vr: str) -> Any:
    """The element's value or values in the form of its value representation."""
    from pydicom.datadict import dictionary_VM

    if element.value is None or element.VM == 0:
        return element.value
    if element.VM > 1 and dictionary_VM(element.tag) == "1":
        # A backslash in an element that may have only one value.
        parts = [str(part) for part in element.value]
        return _one(vr, element.keyword, "/".join(parts) if vr in ("LO", "SH") else parts[0])
    if element.VM > 1:
        return [_one(vr, element.keyword, part) for part in element.value]
    return _one(vr, element.keyword, element.value)


def _one(vr: str, keyword: str, value: Any) -> Any:
    text = str(value).strip(" \0")
    if vr in _TEXT:
        kept = "".join(c for c in text if c >= " " or c in "\r\n\t\f").rstrip()
        if vr != "PN":
            return kept
        from pydicom.valuerep import PersonName

        # A name keeps the bytes it was read from: a new one is written in the copy's UTF-8.
        return PersonName(kept, ["UTF8"])
    if vr == "DA":
        return _date(text)
    if vr == "TM":
        return _time(text)
    if vr == "DT":
        return text if _DATE_TIME.fullmatch(text) else ""
    if vr == "AS":
        age = re.fullmatch(r"(\d{1,3})([DWMY]?)", text.upper())
        return f"{int(age[1]):03}{age[2] or 'Y'}" if age else ""
    if vr == "CS":
        code = text.upper()
        if keyword == "PatientSex":
            return _SEXES.get(code, "")
        return code if re.fullmatch(r"[A-Z0-9_ ]{1,16}", code) else ""
    return value


def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    if match is None:
        return ""
    year, month, day = (int(part) for part in match.groups())
    try:
        datetime.date(year, month, day)
    except ValueError:
        return ""
    return f"{year:04}{month:02}{day:02}"


def _time(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match is None:
        return ""
    parts = [int(part) for part in match.groups()[:3] if part is not None]
    if any(part > most for part, most in zip(parts, (23, 59, 60), strict=False)):
        return ""
    return "".join(f"{part:02}" for part in parts) + (match[4] or "" if len(parts) == 3 else "")


def _place(copy: Any) -> list[str]:
    """Complete what the copy says about its place in space, or remove it; warnings."""
    multi_frame = bool(copy.get("SharedFunctionalGroupsSequence"))
    placed = all(copy.get(name) for name in _PLANE) and bool(copy.get("PixelSpacing"))
    notes = []
    if not multi_frame and not placed and "FrameOfReferenceUID" in copy:
        # A frame of reference without a position in it, as some radiographs have.
        del copy.FrameOfReferenceUID
    if not multi_frame and placed and not copy.get("FrameOfReferenceUID"):
        from pydicom.uid import generate_uid

        identity = [copy.StudyInstanceUID, copy.SeriesInstanceUID, "frame of reference"]
        copy.FrameOfReferenceUID = generate_uid(entropy_srcs=identity)
        notes = ["the header has no FrameOfReferenceUID: the DICOM SEG has one of its own."]
    measured = [copy] if copy.get("PixelSpacing") else []
    if multi_frame:
        measured = _measures(copy)
    for dataset in measured:
        if not dataset.get("SliceThickness"):
            dataset.SliceThickness = NOMINAL_THICKNESS
    return notes


def _measures(copy: Any) -> list[Any]:
    """The items that hold a pixel spacing, in copies of the functional groups."""
    from copy import deepcopy

    found: list[Any] = []
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if copy.get(name):
            copy[name] = deepcopy(copy[name])
            for group in copy[name].value:
                found += group.get("PixelMeasuresSequence") or []
    return [item for item in found if item.get("PixelSpacing")]


def named_attributes(message: str, source: Any) -> list[str]:
    """The attributes that an error is about, by its message; else those that are often missing.

    Only keywords of the standard are taken from the message, which may quote the patient's data.
    """
    from pydicom.datadict import tag_for_keyword

    joined = message.replace("Frame Of Reference UID", "FrameOfReferenceUID")
    named = [word for word in re.findall(r"[A-Z][A-Za-z]{3,}", joined) if tag_for_keyword(word)]
    place = [name for name in (*_PLANE, "PixelSpacing") if not source.get(name)]
    if "FrameOfReferenceUID" in named and place:
        return place  # without which a frame of reference means nothing
    if named:
        return sorted(set(named))
    wanted = (*_PLANE, "PixelSpacing", "SliceThickness", "FrameOfReferenceUID", "Modality")
    return [name for name in wanted if not source.get(name)]
