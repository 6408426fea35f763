"""The lines that answer an import (details C17)."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel

from app.schemas import examples
from app.schemas.examples import shown


class LineStored(BaseModel):
    """A line whose job is there."""

    line: int = Field(description="Number of the line, from 1; blank lines count.")
    id: UUID
    created: bool = Field(description="False when the idempotency key found an earlier job.")


class LineError(BaseModel):
    """Why a line was rejected, as the problem of POST /v1/jobs would say it."""

    code: str
    detail: str


class LineRejected(BaseModel):
    """A line that was not stored."""

    line: int
    error: LineError


class ImportCounts(BaseModel):
    """How many lines were answered, and how."""

    lines: int
    created: int
    existing: int
    rejected: int


class ImportSummary(BaseModel):
    """The last line: everything was read."""

    summary: ImportCounts


class ImportLine(RootModel[LineStored | LineRejected | ImportSummary]):
    """One line of the answer to an import."""

    model_config = ConfigDict(json_schema_extra=shown(examples.IMPORTED[0]))
