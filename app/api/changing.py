"""Changing what a job is, and removing it (contract 1.2)."""

from __future__ import annotations

from fastapi import APIRouter

from app.auth import requires
from app.documentation import problems
from app.rendering import job_json
from app.routing import Answer, Call, JsonRoute
from app.schemas.changing import EditRequest, job_edit
from app.schemas.fields import JobId
from app.schemas.jobs import JobOut
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=JsonRoute, tags=["jobs"], dependencies=[requires(Scope.MANAGE)])


@router.patch(
    "/v1/jobs/{job_id}",
    response_model=JobOut,
    summary="Edit a job",
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def edit_job(job_id: JobId, updates: EditRequest, call: Call) -> Answer:
    """Give a pending job new values. What is not named stays; null brings a field back to its default.

    An empty object changes nothing. To run a job now, whether it is scheduled or waits for its next attempt, set
    `run_at` to null. A worker that claims the job afterwards gets the new values.
    """
    edit = job_edit(updates, max_payload_bytes=call.service.settings.max_payload_bytes)
    await call.jobs.edit([job_id], edit)
    job = await call.jobs.get(job_id)
    if job.status is JobStatus.PENDING and any(edit.given()):
        call.service.announce("ready", call.namespace, job.job_type)
        call.service.expect_edited(edit)
    return Answer(job_json(job))


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=204,
    response_model=None,
    summary="Delete a job",
    responses=problems(401, 403, 404, 409, 422, 503),
)
async def delete_job(job_id: JobId, call: Call) -> Answer:
    """Remove a job that is completed, failed or cancelled, with its output, history and idempotency key.

    What happened to it stays in the event stream, and is no longer listed under the job.
    """
    await call.jobs.delete([job_id])
    return Answer(b"", 204)
