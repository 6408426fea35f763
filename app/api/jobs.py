"""Reading jobs, and changing their course (contract 1.2)."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as QueryParameters

from app.auth import requires
from app.cursors import id_of, place_of, place_of_id, position_of, read_cursor, write_cursor
from app.documentation import problems
from app.edge import ClientGone
from app.rendering import event_json, job_json, page_json
from app.routing import Answer, Call, JsonRoute
from app.schemas.enqueue import NoFields
from app.schemas.fields import JobId
from app.schemas.filters import JobListQuery, filter_of_query
from app.schemas.jobs import EventPage, JobOut, JobPage, JobQuery, PageQuery
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=JsonRoute, tags=["jobs"])
_read, _manage = [requires(Scope.READ)], [requires(Scope.MANAGE)]


@router.get(
    "/v1/jobs",
    response_model=JobPage,
    summary="List jobs",
    dependencies=_read,
    responses=problems(401, 403, 422, 503),
)
async def list_jobs(query: Annotated[JobListQuery, QueryParameters()], call: Call) -> Answer:
    """Jobs of the namespace, newest first.

    Every list costs the same at whatever depth. A filter that no index decides (`run_at`, or several things at once)
    looks at 50,000 jobs at most: the page may then hold fewer than `limit`, even none, and yet have a `next_cursor`. So
    may a page that comes to 16 MiB: it ends there.
    """
    matching = filter_of_query(query)
    of = ["jobs", call.namespace, repr(matching)]
    page = await call.jobs.page(
        matching,
        before=None if query.cursor is None else read_cursor(query.cursor, of=of, as_a=position_of),
        limit=query.limit,
    )
    more = None if page.next is None else write_cursor(place_of(page.next), of=of)
    return Answer(page_json([job_json(job) for job in page.jobs], more))


@router.get(
    "/v1/jobs/{job_id}",
    response_model=JobOut,
    summary="Read a job",
    dependencies=_read,
    responses=problems(401, 403, 404, 422, 503),
)
async def read_job(job_id: JobId, query: Annotated[JobQuery, QueryParameters()], call: Call) -> Answer:
    """The job as it is now, or, with `wait`, as soon as it is completed, failed or cancelled.

    When the time is up, or the service is about to stop, the job is answered as it is then.
    """
    job = await call.jobs.get(job_id)
    if query.wait > 0 and not job.status.is_terminal:
        waiting = call.service.watcher.wait(call.namespace, job_id, timeout=query.wait)
        await _unless_gone(call, asyncio.ensure_future(waiting))
        job = await call.jobs.get(job_id)
    return Answer(job_json(job))


@router.get(
    "/v1/jobs/{job_id}/events",
    response_model=EventPage,
    summary="List what happened to a job",
    dependencies=_read,
    responses=problems(401, 403, 404, 422, 503),
)
async def list_job_events(job_id: JobId, query: Annotated[PageQuery, QueryParameters()], call: Call) -> Answer:
    """Events of one job, oldest first."""
    of = ["events", call.namespace, str(job_id)]
    after = 0 if query.cursor is None else read_cursor(query.cursor, of=of, as_a=id_of)
    events = await call.events.of_job(job_id, after=after, limit=query.limit + 1)
    page = events[: query.limit]
    more = write_cursor(place_of_id(page[-1].id), of=of) if len(events) > len(page) else None
    return Answer(page_json([event_json(event) for event in page], more))


@router.post(
    "/v1/jobs/{job_id}/cancel",
    response_model=JobOut,
    summary="Cancel a job",
    dependencies=_manage,
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def cancel_job(job_id: JobId, call: Call, body: NoFields | None = None) -> Answer:
    """Cancel a job that has not started or is waiting; ask the worker of a running one to stop.

    A running job stays `processing` with `cancel_requested` until its worker hears of it.
    """
    await call.jobs.cancel([job_id])
    job = await call.jobs.get(job_id)
    call.service.announce("ended" if job.status.is_terminal else "cancel", call.namespace, job.job_type)
    return Answer(job_json(job))


@router.post(
    "/v1/jobs/{job_id}/retry",
    response_model=JobOut,
    summary="Retry a job",
    dependencies=_manage,
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def retry_job(job_id: JobId, call: Call, body: NoFields | None = None) -> Answer:
    """Make a failed or cancelled job pending again, with one more attempt if it has none left."""
    await call.jobs.retry([job_id])
    job = await call.jobs.get(job_id)
    if job.status is JobStatus.PENDING:
        call.service.announce("ready", call.namespace, job.job_type)
    return Answer(job_json(job))


async def _unless_gone(call: Call, waiting: asyncio.Future[None]) -> None:
    """Wait, unless the caller hangs up first."""
    hung_up = asyncio.ensure_future(call.hang_up())
    try:
        await asyncio.wait((waiting, hung_up), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ClientGone
        await waiting
    finally:
        waiting.cancel()
        hung_up.cancel()
