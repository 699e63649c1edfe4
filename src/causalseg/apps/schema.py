"""What the server's OpenAPI schema says beyond the signatures: answers, errors, examples."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

DESCRIPTION = (
    "Text-guided medical image segmentation. Research software, not a medical device: answers "
    "must not be used for diagnosis or treatment. Requests that arrive together are batched."
)


class ProblemDetails(BaseModel):
    """Every error: one sentence."""

    detail: str


class State(BaseModel):
    """One word."""

    status: str


class Runs(BaseModel):
    """COCO's uncompressed run lengths."""

    size: tuple[int, int] = Field(description="Height and width")
    counts: list[int] = Field(
        description="Runs of 0 and 1 in turn, beginning with 0, down the columns"
    )


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    sha256: str
    flip: bool = Field(description="Averaged with the answer to the mirrored image and sentence")


class ExpectedDice(BaseModel):
    """Dice that such masks had on validation images."""

    dice: float
    low: float
    high: float
    coverage: float = Field(description="Share of validation images between low and high")


class Mask(BaseModel):
    """A mask of the source's own rows and columns."""

    note: str
    version: str
    model: ModelName
    text: str = Field(description="As sent, with white space collapsed")
    read_as: str = Field(
        description="The sentence that the model was given; empty where the text goes as written"
    )
    meant: str = Field(description="Which lungs that is, by the picture and by the patient")
    height: int
    width: int
    threshold: float = Field(ge=0, le=1)
    highest_probability: float = Field(ge=0, le=1, description="Of any pixel")
    pixels: int = Field(ge=0, description="Inside the mask")
    area_mm2: float | None = Field(description="Where the file gives its pixel spacing")
    expected_dice: ExpectedDice | None = Field(
        description="Where the checkpoint knows it, at the model's own threshold"
    )
    mask: Runs
    warnings: list[str] = Field(description="What to know before trusting the mask")


class MaskAnswer(Mask):
    """The mask of the first text, and those of the others where several were sent."""

    others: list[Mask] | None = Field(None, description="Only where several texts were sent")


EXAMPLE = {
    "note": "Research software, not a medical device.",
    "version": "0.1.0",
    "model": {
        "name": "default.safetensors",
        "sha256": "8f14e45fceea167a5a36dedd4bea2543",
        "flip": False,
    },
    "text": "Unilateral pulmonary infection, one infected area, lower left lung.",
    "height": 4,
    "width": 3,
    "threshold": 0.5,
    "highest_probability": 0.91,
    "pixels": 2,
    "area_mm2": None,
    "expected_dice": None,
    "mask": {"size": [4, 3], "counts": [5, 2, 5]},
    "warnings": [],
}

Responses = dict[int | str, dict[str, Any]]
"""Status -> what OpenAPI says of it, as FastAPI takes it."""


def _problem(description: str, detail: str, *, retry: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": ProblemDetails,
        "description": description,
        "content": {"application/json": {"example": {"detail": detail}}},
    }
    if retry:
        found["headers"] = {
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
        }
    return found


PROBLEMS: Responses = {
    400: _problem("The body is no form data", "There was an error parsing the body"),
    404: _problem("There is no such job", "there is no such job: it may have been removed."),
    408: _problem("The body came too slowly", "the request's body did not arrive in time."),
    409: _problem("The job is not done", "the job is not done yet: poll it.", retry=True),
    413: _problem(
        "The body or the image is too large",
        "the image is 20000 x 20000 pixels, more than the 40000000 that are taken here: shrink it.",
    ),
    422: _problem(
        "The image or the text cannot be used",
        "the image is none of PNG, JPEG, TIFF, BMP and DICOM.",
    ),
    429: _problem("Too many requests", "too many requests are in work: try again.", retry=True),
    503: _problem(
        "Not in time, or shutting down", "the answer was not ready in time: try again.", retry=True
    ),
}
SEGMENT: Responses = {
    200: {
        "description": "The mask",
        "content": {
            "application/json": {"example": EXAMPLE},
            "image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}},
            "application/dicom": {
                "schema": {"type": "string", "contentMediaType": "application/dicom"}
            },
        },
        "headers": {
            "X-Causalseg-Warnings": {
                "description": "Without JSON: the warnings, as a JSON list",
                "schema": {"type": "string"},
            },
            "X-Causalseg-Model": {
                "description": "Without JSON: SHA-256 of the model",
                "schema": {"type": "string"},
            },
            "X-Causalseg-Threshold": {
                "description": "Without JSON: the probability from which a pixel is inside",
                "schema": {"type": "string"},
            },
        },
    },
    **{number: PROBLEMS[number] for number in (400, 408, 413, 422, 429, 503)},
}


UPLOADS = ("image/png", "image/jpeg", "image/tiff", "image/bmp", "application/dicom")


def describe(app: FastAPI, *, open_paths: Collection[str] | None) -> None:
    """Add what signatures do not say to the schema: the kinds of upload, and the guard's token.

    Args:
        app: with all its routes. open_paths: paths that need no token; None where none is needed.

    """
    schema = app.openapi()
    for path in ("/segment", "/jobs"):
        for operation in schema["paths"].get(path, {}).values():
            form = operation["requestBody"]["content"]["multipart/form-data"]
            form["encoding"] = {"image": {"contentType": ", ".join(UPLOADS)}}
    if open_paths is not None:
        schema["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for operation in operations.values() if path not in open_paths else ():
                operation["security"] = [{"bearer": []}]
                operation["responses"]["401"] = {
                    "description": "The token is missing or wrong",
                    "content": {"application/json": {"schema": ProblemDetails.model_json_schema()}},
                }
    app.openapi_schema = schema
