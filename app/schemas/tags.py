"""Tags with their counts (contract 1.3, details D1)."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.query import Query
from app.schemas.examples import shown
from app.schemas.fields import Tag
from app.schemas.jobs import Limit

COUNTS: Final[JsonDict] = {
    "pending": 3, "processing": 1, "waiting": 0, "completed": 118, "failed": 2, "cancelled": 0
}  # fmt: skip
_TAG: Final[JsonDict] = {"tag": "customer:42", "counts": COUNTS, "total": 124}


class NamePageQuery(Query):
    """Where in a list by name, and how much of it."""

    limit: Limit = Field(50, description="How many at most, 1 to 1000.")
    # It holds a name, of which each character may take four bytes.
    cursor: str | None = Field(
        None, max_length=1200, description="The `next_cursor` of the page before, unchanged; none: the first page."
    )


class TagListQuery(NamePageQuery):
    """Which tags."""

    prefix: Tag | None = Field(None, description="Only tags that start so.")


class Counts(BaseModel):
    """Jobs by status."""

    pending: int
    processing: int
    waiting: int
    completed: int
    failed: int
    cancelled: int


class TagOut(BaseModel):
    """A tag that some job has."""

    model_config = ConfigDict(json_schema_extra=shown(_TAG))

    tag: str
    counts: Counts
    total: int = Field(description="Jobs that have it, whatever their status.")


class TagPage(BaseModel):
    """Tags, by name."""

    model_config = ConfigDict(json_schema_extra=shown({"data": [_TAG], "next_cursor": None}))

    data: list[TagOut]
    next_cursor: str | None = Field(description="Give it back as `cursor` for the next page; null: this is the last.")
