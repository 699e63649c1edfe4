"""The HTTP server: an image and a sentence in, a mask out."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field

from causalseg.apps.answers import Identity, seg_bytes
from causalseg.apps.audit import Audit
from causalseg.apps.connections import MOST_IDLE, TimedProtocol
from causalseg.apps.guard import OPEN, Guard
from causalseg.apps.hosts import SameHost
from causalseg.apps.job_routes import MOST_TEXTS, add_job_routes
from causalseg.apps.jobs import Store
from causalseg.apps.limits import Limits, TooLargeError
from causalseg.apps.schema import DESCRIPTION, PROBLEMS, SEGMENT, MaskAnswer, State, describe
from causalseg.apps.service import Asked, Found, Service, unless_gone
from causalseg.errors import InputError
from causalseg.inference.outputs import mask_pixels, png_bytes, probability_pixels
from causalseg.inference.requests import MAX_TEXT
from causalseg.inference.segmenter import Segmenter
from causalseg.text.reading import Sides
from causalseg.version import __version__


def create_app(
    segmenter: Segmenter,
    limits: Limits | None = None,
    token: str | None = None,
    *,
    model: Identity | None = None,
    names: Sequence[str] = (),
    root_path: str = "",
    audit: Audit | None = None,
    jobs: Store | None = None,
) -> FastAPI:
    """The ASGI application.

    Args:
        segmenter: loaded; only one thread uses it.
        limits: of size, time and number.
        token: required as a bearer token, except for /health, /ready and /openapi.json. model:
            named in every answer.
        names: by which this server may be called, as from `hosts.allowed`; empty: by any.
        root_path: path under which a proxy serves it, such as `/causalseg`.
        audit: gets a line for every request for a mask or a job.
        jobs: where jobs are kept; None accepts none.

    """
    service = Service(segmenter, limits or Limits(), model or Identity("unnamed", ""), jobs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="causalseg",
        version=__version__,
        description=DESCRIPTION,
        root_path=root_path,
        lifespan=lifespan,
        docs_url=None,  # Both documentation pages would fetch their scripts from a public server.
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(
        Guard,
        most_bytes=service.most_bytes,
        token=token,
        observe=service.metrics.observe,
        admit=service.admitted,
        record=audit.write if audit else None,
    )
    app.add_middleware(SameHost, names=names)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(InputError, _unusable)
    _add_routes(app, service)
    if service.jobs is not None:
        add_job_routes(app, service.jobs)
    describe(app, open_paths=OPEN if token is not None else None)
    return app


def uvicorn_config(app: FastAPI) -> uvicorn.Config:
    """How the application is run: with time-outs, and without logging of its own."""
    limits: Limits = app.state.service.limits
    return uvicorn.Config(
        app,
        http=TimedProtocol,
        loop="asyncio",
        # uvicorn's own logging would close every handler that the process already has.
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.timeout_s) + 1,
        # Beyond the queue there is room for those that are being rejected.
        limit_concurrency=MOST_IDLE + 2 * limits.most + 64,
    )


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/segment", response_model=MaskAnswer, responses=SEGMENT, summary="Segment an image")
    async def segment(
        request: Request,
        image: Annotated[UploadFile, File(description="PNG, JPEG, TIFF, BMP or DICOM, one frame")],
        text: Annotated[
            list[Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]],
            Form(
                min_length=1,
                max_length=MOST_TEXTS,
                description="What to segment, in words; repeat the field for several masks",
                examples=[["Unilateral pulmonary infection, one infected area, lower left lung."]],
            ),
        ],
        output: Annotated[
            Literal["json", "png", "probability", "seg"],
            Form(
                description="JSON with COCO run lengths; the mask as PNG (0 and 255); the "
                "probability as PNG (16 bit, 65535 is 1); or DICOM SEG, for a DICOM image"
            ),
        ] = "json",
        sides: Annotated[
            Sides | None,
            Form(
                description="Whose left the text means where it does not say so: by default the "
                "patient's, and in the wording of QaTa-COV19's captions the viewer's"
            ),
        ] = None,
        strict: Annotated[
            bool, Form(description="Refuse a text that is not understood, instead of warning")
        ] = False,
        threshold: Annotated[
            float | None,
            Form(ge=0, le=1, allow_inf_nan=False, description="By default the model's own"),
        ] = None,
    ) -> Response:
        if len((await request.form()).getlist("image")) != 1:
            raise HTTPException(422, "image: one request takes one image, and several came.")
        if len(text) > 1 and output in ("png", "probability"):
            raise HTTPException(422, f"output: {output} holds one mask, and several texts came.")
        try:
            async with asyncio.timeout(service.limits.timeout_s):
                ask = Asked(text, threshold, sides, strict)
                work = service.segment(
                    request.state.visit,
                    await image.read(),
                    ask,
                    lambda found: _render(found, output, service.model),
                )
                return await unless_gone(request, work)
        except TimeoutError:
            raise HTTPException(
                503, "the answer was not ready in time: try again.", {"Retry-After": "5"}
            ) from None

    # Load balancers use HEAD; the schema describes only GET.
    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=State, summary="Whether the process is alive")
    async def health() -> State:
        return State(status="alive")

    @app.head("/ready", include_in_schema=False)
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


def _render(found: Found, output: str, model: Identity) -> Response:
    if output == "json":
        records = [one.to_dict(model) for one in found.answers]
        first, several = records[0], len(records) > 1
        return JSONResponse(first | {"others": records[1:]} if several else first)
    warnings = list(dict.fromkeys(note for one in found.answers for note in one.warnings))
    headers = {  # ASCII only, as headers are.
        "X-Causalseg-Warnings": json.dumps(warnings),
        "X-Causalseg-Model": model.sha256,
        "X-Causalseg-Threshold": repr(found.answers[0].threshold),
    }
    if output == "seg":
        return Response(
            seg_bytes(found.study, found.answers, model),
            media_type="application/dicom",
            headers=headers,
        )
    if output == "png":
        pixels: Any = mask_pixels(found.answers[0].mask)
    else:
        pixels = found.study.display.undo(probability_pixels(found.results[0].probability))
    return Response(png_bytes(pixels), media_type="image/png", headers=headers)


async def _invalid(_: Request, error: Any) -> JSONResponse:
    """One sentence instead of FastAPI's list, which would quote the input."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return JSONResponse({"detail": f"{where}: {first['msg']}."}, 422)


async def _unusable(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 413 if isinstance(error, TooLargeError) else 422)
