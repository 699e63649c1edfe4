"""Jobs over HTTP: submit, poll, fetch, remove."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import FastAPI, File, Form, HTTPException, Path, Request, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from causalseg.apps import jobs
from causalseg.apps.schema import PROBLEMS, Responses
from causalseg.apps.worker import Worker
from causalseg.inference.requests import MAX_TEXT, clean_prompt
from causalseg.text.reading import Sides

MOST_TEXTS = 16
_Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="As the submission was answered")]
_MISSING: Responses = {404: PROBLEMS[404], 422: PROBLEMS[422]}


class JobState(BaseModel):
    """How far a job is."""

    id: str
    state: Literal["waiting", "working", "done"]
    created: str = Field(description="Time (UTC)")
    images: int = Field(description="That were sent")
    finished: int = Field(description="Of them, done or failed; behind by a second or so")
    failed: int = Field(description="Of them")
    results: list[jobs.Worked]


def _state(worker: Worker, job: jobs.Job) -> JobState:
    request, results = job.request, job.report()
    state: Literal["waiting", "working", "done"] = "waiting"
    if job.done:
        state = "done"
    elif worker.current == job.id:
        state = "working"
    return JobState(
        id=job.id,
        state=state,
        created=datetime.fromtimestamp(request.created, UTC).isoformat(timespec="seconds"),
        images=len(request.names),
        finished=sum(len(one.images) for one in results),
        failed=sum(len(one.images) for one in results if one.status == "failed"),
        results=results,
    )


def add_job_routes(app: FastAPI, worker: Worker) -> None:
    """Add `/jobs` and what is below it."""

    def found(job_id: str) -> jobs.Job:
        job = worker.store.find(job_id)
        if job is None:
            raise HTTPException(404, "there is no such job: it may have been removed.")
        return job

    @app.post(
        "/jobs",
        status_code=202,
        response_model=JobState,
        responses={number: PROBLEMS[number] for number in (400, 408, 413, 422, 429, 503)},
        summary="Submit the images of a folder or a study",
    )
    async def submit(
        request: Request,
        response: Response,
        image: Annotated[
            list[UploadFile],
            File(
                min_length=1,
                max_length=jobs.MOST_IMAGES,
                description="Repeated for each image; the slices of a DICOM series are one study",
            ),
        ],
        text: Annotated[
            list[Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]],
            Form(min_length=1, max_length=MOST_TEXTS, description="Each gives a mask an image"),
        ],
        sides: Annotated[Sides | None, Form(description="As for /segment")] = None,
        strict: Annotated[bool, Form(description="As for /segment")] = False,
    ) -> JobState:
        asked = jobs.Request(
            texts=tuple(clean_prompt(one) for one in text),
            names=tuple((one.filename or "")[:255] for one in image),
            created=time.time(),
            sides=sides,
            strict=strict,
        )
        files = [one.file for one in image]
        job = await asyncio.to_thread(worker.store.add, files, asked)
        worker.notify()
        response.headers["Location"] = f"{request.scope.get('root_path', '')}/jobs/{job.id}"
        return await asyncio.to_thread(_state, worker, job)

    @app.get("/jobs/{job_id}", response_model=JobState, responses=_MISSING, summary="Poll a job")
    def poll(job_id: _Id) -> JobState:
        return _state(worker, found(job_id))

    @app.get(
        "/jobs/{job_id}/results",
        response_class=FileResponse,
        responses={
            200: {"content": {"application/zip": {"schema": {"type": "string"}}}},
            409: PROBLEMS[409],
            **_MISSING,
        },
        summary="Fetch a finished job's results",
    )
    def fetch(job_id: _Id) -> FileResponse:
        job = found(job_id)
        if not job.done:
            raise HTTPException(409, "the job is not done yet: poll it.", {"Retry-After": "5"})
        return FileResponse(job.folder / jobs.ZIP, media_type="application/zip")

    @app.delete(
        "/jobs/{job_id}", status_code=204, responses=_MISSING, summary="Remove a job, done or not"
    )
    def remove(job_id: _Id) -> None:
        worker.remove(found(job_id))
