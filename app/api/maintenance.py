"""Maintenance on demand (contract 7, details J1 and J3)."""

from __future__ import annotations

from time import monotonic
from typing import Final

from fastapi import APIRouter

from app.auth import requires
from app.documentation import problems
from app.rendering import maintenance_json
from app.routing import Answer, Call, JsonRoute
from app.schemas.enqueue import NoFields
from app.schemas.maintenance import MaintenanceOut
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Hint
from dataqueue.tokens import expire_tokens

router = APIRouter(route_class=JsonRoute, tags=["operations"], dependencies=[requires(Scope.MANAGE)])
_LONGEST: Final = 5.0
_BATCH: Final = 1000
_FOLD: Final = 10_000


@router.post(
    "/v1/maintenance/run",
    response_model=MaintenanceOut,
    summary="Run maintenance now",
    responses=problems(401, 403, 413, 415, 422, 503),
)
async def run_maintenance(call: Call, body: NoFields | None = None) -> Answer:
    """Do at once, for the namespace, what every worker does again and again; where workers run, there is no need to.

    Takes jobs back from workers that have fallen silent, times out tokens, and removes jobs, tokens and events that
    have been kept long enough.
    It takes on nothing more after five seconds: ask again until it answers zeros. Events go by whole days, those of
    every namespace together.
    """
    upkeep, settings, until = call.service.storage.upkeep, call.service.settings, monotonic() + _LONGEST
    reclaimed = cleaned_up = 0
    more = True
    while more and monotonic() < until:
        count = await upkeep.reclaim(limit=_BATCH, max_crashes=settings.max_crashes, namespace=call.namespace)
        reclaimed, more = reclaimed + count, count == _BATCH
    if reclaimed:
        await call.service.storage.notifier.publish(Hint("ready", call.namespace))
    expired = await expire_tokens(
        upkeep, namespace=call.namespace, batch=_BATCH, ready=call.ready, may_go_on=lambda: monotonic() < until
    )
    more = True
    while more and monotonic() < until:
        pruned = await upkeep.prune(settings.retention, limit=_BATCH, namespace=call.namespace)
        cleaned_up, more = cleaned_up + pruned.count, not pruned.is_end
    more = True
    while more and monotonic() < until:
        more = await upkeep.prune_tokens(keep=settings.keep_tokens, limit=_BATCH, namespace=call.namespace) >= _BATCH
    events = await upkeep.prune_events(keep=settings.keep_events) if monotonic() < until else 0
    while monotonic() < until and await upkeep.fold_counts(limit=_FOLD) >= _FOLD:
        pass
    return Answer(
        maintenance_json(
            reclaimed_jobs=reclaimed, expired_tokens=expired, cleaned_up_jobs=cleaned_up, cleaned_up_events=events
        )
    )
