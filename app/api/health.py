"""Whether the process is alive, and whether it can serve (details J2)."""

from __future__ import annotations

from typing import Final, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.documentation import problems
from app.errors import Code, Problem
from app.routing import Answer, Call, JsonRoute
from app.schemas import examples
from app.schemas.examples import shown

router = APIRouter(route_class=JsonRoute, tags=["operations"])
_OK: Final = Answer(b'{"status":"ok"}')


class Health(BaseModel):
    """All is well."""

    model_config = ConfigDict(json_schema_extra=shown(examples.HEALTH))

    status: Literal["ok"]


class Readiness(Health):
    """It can serve."""

    model_config = ConfigDict(json_schema_extra=shown(examples.READY))

    warnings: list[str] = Field(
        description="What about the storage's configuration may make it lose jobs, and what to do about it."
    )


@router.get("/healthz", response_model=Health, summary="Is the process alive", responses=problems(422))
async def healthz() -> Answer:
    """Answers as long as the process does; asks nothing of the storage. Needs no key."""
    return _OK


@router.get("/readyz", response_model=Readiness, summary="Can it serve", responses=problems(422, 503))
async def readyz(call: Call) -> Answer:
    """Whether the storage is reachable and migrated, and the process not about to stop. Needs no key."""
    if call.service.stopping:
        raise Problem(503, Code.STORAGE_NOT_READY, "This process is about to stop.")
    warnings = await call.service.storage.check()
    return Answer(orjson.dumps({"status": "ok", "warnings": warnings}))
