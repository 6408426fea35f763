"""Accepting jobs (contract 1.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header

from app.auth import requires
from app.documentation import problems
from app.errors import invalid
from app.rendering import batch_json, enqueued_json
from app.routing import Answer, Call, JsonRoute
from app.schemas.enqueue import BatchOut, BatchRequest, EnqueuedOut, EnqueueRequest, new_job
from app.schemas.fields import IdempotencyKey
from dataqueue.domain.job import NewJob
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=JsonRoute, tags=["jobs"], dependencies=[requires(Scope.ENQUEUE)])


@router.post(
    "/v1/jobs",
    status_code=201,
    response_model=EnqueuedOut,
    summary="Enqueue a job",
    responses={
        201: {"headers": {"Location": {"schema": {"type": "string"}, "description": "Path of the job."}}},
        200: {"model": EnqueuedOut, "description": "The idempotency key was used before: that job, `created: false`."},
        **problems(401, 403, 409, 413, 415, 422, 503),
    },
)
async def enqueue_job(
    job: EnqueueRequest,
    call: Call,
    idempotency_key: Annotated[IdempotencyKey | None, Header(description="Same as the field of the body.")] = None,
) -> Answer:
    """Store a job and answer once that is certain.

    With an idempotency key a repeat answers 200 with the first job, however many arrive at once.
    """
    new = new_job(job, max_payload_bytes=call.service.settings.max_payload_bytes, header_key=idempotency_key)
    [enqueued] = await call.service.enqueuer(call.namespace).add((new,))
    _expect(call, (new,))
    location = (b"location", b"/v1/jobs/%s" % str(enqueued.id).encode())
    return Answer(enqueued_json(enqueued), 201 if enqueued.created else 200, (location,))


@router.post(
    "/v1/jobs/batch",
    status_code=201,
    response_model=BatchOut,
    summary="Enqueue up to 1,000 jobs, all or none",
    responses=problems(401, 403, 409, 413, 415, 422, 503),
)
async def enqueue_batch(
    batch: BatchRequest,
    call: Call,
    idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Answer:
    """Store jobs together. One that cannot be stored is named by its index, and none is stored.

    Answers come in the order of the jobs; repeats of an idempotency key say `created: false`.
    """
    if idempotency_key is not None:
        raise invalid(("header", "idempotency-key"), "belongs to one job: give each its own idempotency_key")
    limit = call.service.settings.max_payload_bytes
    new = [new_job(job, max_payload_bytes=limit, at=("body", "jobs", index)) for index, job in enumerate(batch.jobs)]
    answers = await call.service.enqueuer(call.namespace).add(new)
    _expect(call, new)
    return Answer(batch_json(answers), 201)


def _expect(call: Call, jobs: list[NewJob] | tuple[NewJob, ...]) -> None:
    """Have this process look when the first of them is due."""
    for job in jobs:
        if job.delay is not None:
            call.service.stager.expect(job.delay.total_seconds())
        elif job.run_at is not None:
            call.service.stager.expect((job.run_at - datetime.now(UTC)).total_seconds())
