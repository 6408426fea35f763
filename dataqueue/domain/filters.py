"""What a list of jobs is narrowed by, and where in it one is (contract 1.2, details C19)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from dataqueue.domain.job import JobStatus


class TagMode(StrEnum):
    """How tags narrow. EXACT: these and no others, in any order. NONE: no job that has one of them."""

    EXACT = "exact"
    ALL = "all"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Instants that satisfy every bound given; with none, any instant."""

    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None
    eq: datetime | None = None


ANY_TIME: Final = Range()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Every field given must hold; empty tuples do not narrow, several statuses or types are alternatives."""

    statuses: tuple[JobStatus, ...] = ()
    job_types: tuple[str, ...] = ()
    priority: int | None = None
    group_id: str | None = None
    tags: tuple[str, ...] = ()
    tag_mode: TagMode = TagMode.ALL
    cron_id: UUID | None = None
    run_at: Range = ANY_TIME
    created_at: Range = ANY_TIME


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of lists, newest first: that of one job."""

    created_at: datetime
    seq: int
