"""Whether an image is of the kind that a model was trained on: a warning, never a refusal."""

from collections.abc import Mapping
from typing import Any

from causalseg.inference.formats import Study

# Body parts that writers use for the same radiograph.
_ONE_REGION = {"LUNG": "CHEST", "LUNGS": "CHEST", "THORAX": "CHEST"}


def domain_warnings(study: Study, provenance: Mapping[str, Any]) -> list[str]:
    """Compare a study's header with a checkpoint's record of its training data.

    Args:
        study: modality and body part in DICOM's codes, where its format has them.
        provenance: the lists `modalities` and `body_parts`, in DICOM's codes, if recorded.

    Returns:
        One sentence for each thing that does not fit or is unknown. A picture (PNG, JPEG...) claims
        nothing about itself, so there is nothing to say.

    """
    if study.kind == "raster":
        return []
    found = []
    for name, key, value in (
        ("modality", "modalities", study.modality),
        ("body part", "body_parts", study.body_part),
    ):
        trained = [str(code).upper() for code in provenance.get(key) or []]
        if not trained:
            found.append(
                f"the checkpoint does not record on which {name} it was trained, so whether this "
                "image fits it is unknown."
            )
        elif value is None:
            found.append(f"the file does not state its {name}; trained on {', '.join(trained)}.")
        elif _region(value) not in map(_region, trained):
            found.append(
                f"NOT TRAINED FOR THIS: the image's {name} is {value}, the model was trained on "
                f"{', '.join(trained)} only; do not rely on the mask."
            )
    return found


def _region(code: str) -> str:
    return _ONE_REGION.get(code, code)
