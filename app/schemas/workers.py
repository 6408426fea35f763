"""Who works (contract 7, details H5)."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.schemas.examples import shown

_WORKER: Final[JsonDict] = {
    "id": "mail-1:4211:9f3c",
    "kind": "python",
    "job_types": ["email.send"],
    "jobs_held": 12,
    "last_beat_at": "2026-11-24T01:02:03.000004Z",
    "state": "run",
}


class WorkerOut(BaseModel):
    """A worker that has been heard of in the last minute."""

    model_config = ConfigDict(json_schema_extra=shown(_WORKER))

    id: str
    kind: str = Field(description="`python`: a worker process of ours.")
    job_types: list[str] = Field(description="What it serves.")
    jobs_held: int = Field(description="Jobs in its hands.")
    last_beat_at: datetime
    state: Literal["run", "drain"] = Field(description="`drain`: it takes no more jobs.")


class WorkerList(BaseModel):
    """Workers, by id."""

    model_config = ConfigDict(json_schema_extra=shown({"data": [_WORKER]}))

    data: list[WorkerOut]
