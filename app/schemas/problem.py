"""How an error looks (RFC 9457)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.errors import MOST_ERRORS, Code


class ProblemError(BaseModel):
    """What is wrong with one field."""

    loc: list[str | int] = Field(
        description="Where: `body`, `query`, `path` or `header`, then names and indexes.",
        examples=[["body", "jobs", 2, "job_type"]],
    )
    msg: str
    code: Code


class Problem(BaseModel):
    """An error. What was sent is never repeated in it."""

    model_config = ConfigDict(
        json_schema_extra={"required": ["type", "title", "status", "detail", "code", "request_id"]}
    )

    type: str = Field(description="A URN that ends in the code.")
    title: str
    status: int
    detail: str
    code: Code = Field(description="Stable: decide by this.")
    errors: list[ProblemError] = Field([], max_length=MOST_ERRORS, description="With status 422.")
    request_id: str = Field(description="The `x-request-id` of this answer.")
