"""A namespace at a glance (contract 1.2)."""

from __future__ import annotations

from fastapi import APIRouter

from app.auth import requires
from app.documentation import problems
from app.rendering import stats_json
from app.routing import Answer, Call, JsonRoute
from app.schemas.stats import StatsOut
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=JsonRoute, tags=["operations"], dependencies=[requires(Scope.READ)])


@router.get("/v1/stats", response_model=StatsOut, summary="Read statistics", responses=problems(401, 403, 422, 503))
async def read_stats(call: Call) -> Answer:
    """Jobs by status and type, how long the oldest ready one has been waiting, and what the last hour brought.

    Counts are exact at the moment of asking, and cost the same however many jobs there are. Of jobs that are ready,
    those of a paused type are not; with more than a thousand pairs of type and priority the oldest is looked for
    among a thousand of them, high priorities first.
    """
    return Answer(stats_json(await call.tally.stats()))
