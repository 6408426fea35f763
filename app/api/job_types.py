"""Job types: what is set for them and what they have (contract 1.3)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter
from fastapi import Query as QueryParameters

from app.auth import requires
from app.cursors import name_of, read_cursor, write_cursor
from app.documentation import problems
from app.naming import NamedRoute
from app.rendering import job_type_json, page_json
from app.routing import Answer, Call
from app.schemas.enqueue import NoFields
from app.schemas.fields import Name
from app.schemas.job_types import JobTypeOut, JobTypePage, JobTypeSettingsIn
from app.schemas.tags import NamePageQuery
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=NamedRoute, tags=["jobs"])
_read, _manage = [requires(Scope.READ)], [requires(Scope.MANAGE)]
_CHANGE_PROBLEMS: Final = problems(401, 403, 413, 415, 422, 503)


@router.get(
    "/v1/job-types",
    response_model=JobTypePage,
    summary="List job types",
    dependencies=_read,
    responses=problems(401, 403, 422, 503),
)
async def list_job_types(query: Annotated[NamePageQuery, QueryParameters()], call: Call) -> Answer:
    """Types that have jobs, or that somebody has set something for, by name in the order of code points."""
    of = ["job-types", call.namespace]
    after = None if query.cursor is None else read_cursor(query.cursor, of=of, as_a=name_of)
    types = await call.job_types.page(after=after, limit=query.limit + 1)
    page = types[: query.limit]
    more = write_cursor(page[-1].job_type.encode(), of=of) if len(types) > len(page) else None
    return Answer(page_json([job_type_json(job_type) for job_type in page], more))


@router.get(
    "/v1/job-types/{job_type}",
    response_model=JobTypeOut,
    summary="Read a job type",
    dependencies=_read,
    responses=problems(401, 403, 404, 422, 503),
)
async def read_job_type(job_type: Name, call: Call) -> Answer:
    """What is set for a type, and its jobs by status. Percent-encode its name in the path, a slash as `%2F`."""
    return await _as_read(call, job_type)


@router.put(
    "/v1/job-types/{job_type}",
    response_model=JobTypeOut,
    summary="Set up a job type",
    dependencies=_manage,
    responses=_CHANGE_PROBLEMS,
)
async def put_job_type(job_type: Name, settings: JobTypeSettingsIn, call: Call) -> Answer:
    """Replace all that is set for a type, known or not. It holds everywhere, for claims and new jobs from now on."""
    await call.job_types.put(job_type, settings.settings())
    if not settings.paused:
        call.service.announce("ready", call.namespace, job_type)
    return await _as_read(call, job_type)


@router.post(
    "/v1/job-types/{job_type}/pause",
    response_model=JobTypeOut,
    summary="Pause a job type",
    dependencies=_manage,
    responses=_CHANGE_PROBLEMS,
)
async def pause_job_type(job_type: Name, call: Call, body: NoFields | None = None) -> Answer:
    """Give out no more jobs of a type, known or not. What runs goes on; what is enqueued waits."""
    await call.job_types.pause(job_type, paused=True)
    return await _as_read(call, job_type)


@router.post(
    "/v1/job-types/{job_type}/resume",
    response_model=JobTypeOut,
    summary="Resume a job type",
    dependencies=_manage,
    responses=_CHANGE_PROBLEMS,
)
async def resume_job_type(job_type: Name, call: Call, body: NoFields | None = None) -> Answer:
    """Give out jobs of a type again."""
    await call.job_types.pause(job_type, paused=False)
    call.service.announce("ready", call.namespace, job_type)
    return await _as_read(call, job_type)


async def _as_read(call: Call, job_type: str) -> Answer:
    return Answer(job_type_json(await call.job_types.get(job_type)))
