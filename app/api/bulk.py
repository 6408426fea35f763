"""Changing every job that fits a filter (contract 1.2, details C20)."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter

from app.auth import requires
from app.documentation import problems
from app.edge import ClientGone
from app.errors import Code, Problem, invalid
from app.routing import Answer, Call, JsonRoute
from app.schemas.bulk import BulkChanged, BulkEditRequest, BulkRequest
from app.schemas.changing import job_edit
from app.schemas.filters import filter_of_body
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.keys import Scope
from dataqueue.domain.lifecycle import Verb
from dataqueue.sweeping import Kind, Sweeper

router = APIRouter(route_class=JsonRoute, tags=["jobs"], dependencies=[requires(Scope.MANAGE)])
_PROBLEMS: Final = problems(401, 403, 413, 415, 422, 503)
_STOPPING: Final = "This process is about to stop; what was changed stays changed. Ask again for the rest."


@router.post("/v1/jobs/cancel", response_model=BulkChanged, summary="Cancel many jobs", responses=_PROBLEMS)
async def cancel_jobs(bulk: BulkRequest, call: Call) -> Answer:
    """Cancel the jobs of a filter that are pending or waiting; ask the workers of running ones to stop.

    A running job counts as changed once it is asked; one that was asked before matches and is not changed.

    Jobs are changed newest first, in batches of a thousand at most, each whole or not at all; a job fits if it does
    when its turn comes. Jobs enqueued since are left alone. **If you hang up, it stops after the batch under way**, and
    what was changed stays changed; the same holds after a 503. Asking again does the rest.
    """
    return await _change(call, Verb.CANCEL, bulk)


@router.post("/v1/jobs/retry", response_model=BulkChanged, summary="Retry many jobs", responses=_PROBLEMS)
async def retry_jobs(bulk: BulkRequest, call: Call) -> Answer:
    """Make the failed and cancelled jobs of a filter pending again, each with one more attempt if it has none left.

    Batches, hanging up and 503: as with `POST /v1/jobs/cancel`.
    """
    return await _change(call, Verb.RETRY, bulk)


@router.post("/v1/jobs/edit", response_model=BulkChanged, summary="Edit many jobs", responses=_PROBLEMS)
async def edit_jobs(bulk: BulkEditRequest, call: Call) -> Answer:
    """Give the pending jobs of a filter new values.

    Batches, hanging up and 503: as with `POST /v1/jobs/cancel`.
    """
    at = ("body", "updates")
    edit = job_edit(bulk.updates, max_payload_bytes=call.service.settings.max_payload_bytes, at=at)
    if not any(edit.given()):
        raise invalid(at, "must hold at least one new value")
    answer = await _change(call, Verb.EDIT, bulk, edit=edit)
    call.service.expect_edited(edit)
    return answer


@router.post("/v1/jobs/delete", response_model=BulkChanged, summary="Delete many jobs", responses=_PROBLEMS)
async def delete_jobs(bulk: BulkRequest, call: Call) -> Answer:
    """Remove the jobs of a filter that are completed, failed or cancelled.

    Batches, hanging up and 503: as with `POST /v1/jobs/cancel`.
    """
    return await _change(call, Verb.DELETE, bulk)


async def _change(call: Call, verb: Verb, bulk: BulkRequest, *, edit: JobEdit | None = None) -> Answer:
    """Batch after batch, until all is done, the caller hangs up, or the process is to stop."""
    service, namespace = call.service, call.namespace

    def announce(kind: Kind, job_types: set[str]) -> None:
        for job_type in job_types:
            service.announce(kind, namespace, job_type)

    sweeper = Sweeper(call.jobs, announce=announce)
    hung_up = asyncio.ensure_future(call.hang_up())
    try:
        done = await sweeper.run(
            verb,
            filter_of_body(bulk.filter),
            edit=edit,
            dry_run=bulk.dry_run,
            is_stopped=lambda: hung_up.done() or service.stopping,
        )
        if not done.is_whole:
            raise ClientGone if hung_up.done() else Problem(503, Code.STORAGE_NOT_READY, _STOPPING)
    finally:
        hung_up.cancel()
    return Answer(b'{"matched":%d,"changed":%d}' % (done.matched, done.changed))
