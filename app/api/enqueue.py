"""Accepting jobs (contract 1.1)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Header

from app.auth import requires
from app.documentation import problems
from app.errors import invalid
from app.rendering import batch_json, enqueued_json
from app.routing import Answer, Call, JsonRoute
from app.schemas.enqueue import BatchOut, BatchRequest, EnqueuedOut, EnqueueRequest, new_job
from app.schemas.fields import IdempotencyKey
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=JsonRoute, tags=["jobs"], dependencies=[requires(Scope.ENQUEUE)])
_LOCATION: Final = {"required": True, "schema": {"type": "string"}, "description": "Path of the job."}


@router.post(
    "/v1/jobs",
    status_code=201,
    response_model=EnqueuedOut,
    summary="Enqueue a job",
    responses={
        201: {"headers": {"Location": _LOCATION}},
        200: {
            "model": EnqueuedOut,
            "headers": {"Location": _LOCATION},
            "description": "The idempotency key was used before: that job, `created: false`.",
        },
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
    call.service.expect_due((new,))
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
    call.service.expect_due(new)
    return Answer(batch_json(answers), 201)
