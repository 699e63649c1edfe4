"""The HTTP server: an image and a sentence in, a mask out."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from causalseg.apps.answers import Answer, answer
from causalseg.apps.batching import Batcher
from causalseg.apps.guard import Guard
from causalseg.apps.limits import Limits, TooLargeError, read_upload
from causalseg.apps.metrics import Metrics
from causalseg.apps.schema import DESCRIPTION, PROBLEMS, SEGMENT, MaskAnswer, State, describe
from causalseg.errors import InputError
from causalseg.inference.outputs import mask_pixels
from causalseg.inference.requests import MAX_TEXT, clean_prompt
from causalseg.inference.segmenter import Segmenter
from causalseg.text.reading import Sides
from causalseg.version import __version__

# Decoding holds a picture several times over, so only so many are decoded at once.
_DECODERS = 2


class Service:
    """A model, its queue and its counters."""

    def __init__(self, segmenter: Segmenter, limits: Limits) -> None:
        self.segmenter, self.limits = segmenter, limits
        self.metrics = Metrics(limits.queue)
        self.batcher = Batcher(
            segmenter, limits.batch, limits.wait_ms / 1000, self.metrics.batches.observe
        )
        self.decoders = ThreadPoolExecutor(_DECODERS, "causalseg-decoder")
        self.in_work = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place among the requests in work, else 429 or 503. Called on the event loop only."""
        if not self.batcher.alive:
            raise HTTPException(503, "the model takes no requests.", {"Retry-After": "5"})
        if self.in_work >= self.limits.queue:
            raise HTTPException(
                429, "too many requests are in work: try again.", {"Retry-After": "1"}
            )
        self.in_work += 1
        self.metrics.waiting.set(self.in_work)
        try:
            yield
        finally:
            self.in_work -= 1
            self.metrics.waiting.set(self.in_work)

    async def segment(
        self,
        content: bytes,
        text: str,
        threshold: float | None,
        sides: Sides | None = None,
        *,
        strict: bool = False,
    ) -> Answer:
        """Read the text, decode, wait for the model, draw the line.

        Raises:
            InputError: the image or the text cannot be used, or `strict` refuses the text.

        """
        loop = asyncio.get_running_loop()
        sentence = self.segmenter.sentence(clean_prompt(text), sides, strict=strict)
        study = await loop.run_in_executor(self.decoders, read_upload, content, self.limits)
        result = await asyncio.wrap_future(self.batcher.submit(study.frames[0], sentence))
        return await loop.run_in_executor(
            self.decoders, answer, study, result, self.segmenter, threshold
        )

    def close(self) -> None:
        """Answer what was admitted, then stop the threads."""
        self.batcher.close()
        self.decoders.shutdown()


def create_app(
    segmenter: Segmenter, limits: Limits | None = None, token: str | None = None
) -> FastAPI:
    """The ASGI application.

    Args:
        segmenter: loaded; only one thread uses it.
        limits: of size, time and number.
        token: asked for as a bearer token, except by /health, /ready and /openapi.json.

    """
    service = Service(segmenter, limits or Limits())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="causalseg",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # Both pages would fetch their scripts from a public server.
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Guard, limits=service.limits, token=token, observe=service.metrics.observe)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(InputError, _unusable)
    _add_routes(app, service)
    describe(app, with_token=token is not None)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/segment", response_model=MaskAnswer, responses=SEGMENT, summary="Segment an image")
    async def segment(
        image: Annotated[UploadFile, File(description="PNG, JPEG, TIFF, BMP or DICOM, one frame")],
        text: Annotated[
            str,
            Form(
                min_length=1,
                max_length=MAX_TEXT,
                description="What to segment, in words",
                examples=["Unilateral pulmonary infection, one infected area, lower left lung."],
            ),
        ],
        output: Annotated[
            Literal["json", "png"],
            Form(description="JSON with COCO run lengths, or the mask as PNG (0 and 255)"),
        ] = "json",
        sides: Annotated[
            Sides | None,
            Form(
                description="Whose left the text means where it does not say so: by default the "
                "patient's, and in the wording of QaTa-COV19's captions the viewer's"
            ),
        ] = None,
        strict: Annotated[
            bool, Form(description="Refuse a text that is not understood, in place of a warning")
        ] = False,
        threshold: Annotated[
            float | None,
            Form(ge=0, le=1, allow_inf_nan=False, description="By default the model's own"),
        ] = None,
    ) -> Response:
        with service.admitted():
            try:
                async with asyncio.timeout(service.limits.timeout_s):
                    content = await image.read()
                    found = await service.segment(content, text, threshold, sides, strict=strict)
                    return await asyncio.to_thread(_render, found, output)
            except TimeoutError:
                raise HTTPException(
                    503, "the answer was not ready in time: try again.", {"Retry-After": "5"}
                ) from None

    @app.get("/health", response_model=State, summary="Whether the process lives")
    async def health() -> State:
        return State(status="alive")

    @app.get(
        "/ready",
        response_model=State,
        responses={503: PROBLEMS[503]},
        summary="Whether the model takes requests",
    )
    async def ready() -> State:
        if not service.batcher.alive:
            raise HTTPException(503, "the model takes no requests.", {"Retry-After": "5"})
        return State(status="ready")

    @app.get(
        "/metrics",
        summary="Counters for Prometheus",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        response_class=Response,
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _render(found: Answer, output: str) -> Response:
    if output == "json":
        return JSONResponse(found.to_dict())
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask_pixels(found.mask)).save(buffer, format="PNG")
    headers = {"X-Causalseg-Warnings": json.dumps(found.warnings)}  # ASCII only, as headers are.
    return Response(buffer.getvalue(), media_type="image/png", headers=headers)


async def _invalid(_: Request, error: Any) -> JSONResponse:
    """One sentence in place of FastAPI's list, which would quote the input."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return JSONResponse({"detail": f"{where}: {first['msg']}."}, 422)


async def _unusable(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 413 if isinstance(error, TooLargeError) else 422)
