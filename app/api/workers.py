"""Workers, and asking one to take no more jobs (contract 7)."""

from __future__ import annotations

from fastapi import APIRouter

from app.auth import requires
from app.documentation import problems
from app.naming import NamedRoute
from app.rendering import worker_json, workers_json
from app.routing import Answer, Call
from app.schemas.enqueue import NoFields
from app.schemas.fields import Name
from app.schemas.workers import WorkerList, WorkerOut
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=NamedRoute, tags=["operations"])


@router.get(
    "/v1/workers",
    response_model=WorkerList,
    summary="List workers",
    dependencies=[requires(Scope.READ)],
    responses=problems(401, 403, 422, 503),
)
async def list_workers(call: Call) -> Answer:
    """Workers of the namespace that have been heard of in the last minute, by id."""
    return Answer(workers_json(await call.workers.live()))


@router.post(
    "/v1/workers/{worker_id}/drain",
    response_model=WorkerOut,
    summary="Drain a worker",
    dependencies=[requires(Scope.MANAGE)],
    responses=problems(401, 403, 404, 413, 415, 422, 503),
)
async def drain_worker(worker_id: Name, call: Call, body: NoFields | None = None) -> Answer:
    """Have a live worker take no more jobs. It finishes what it holds and stays, idle, until it is stopped.

    Doing so again changes nothing. It ends when the worker is restarted. Percent-encode the id, a slash as `%2F`.
    """
    worker = await call.workers.drain(worker_id)
    call.service.announce("drain", call.namespace, worker_id)
    return Answer(worker_json(worker))
