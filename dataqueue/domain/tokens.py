"""Waitpoint tokens: what a job can wait for, completed by somebody outside (contract 2, details E)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from dataqueue.domain.filters import TagMode
from dataqueue.domain.job import Json


class TokenStatus(StrEnum):
    WAITING = "waiting"
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token as asked for. `timeout` None: it never expires."""

    id: UUID
    timeout: timedelta | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as read. `job_id` and `name`: the job that made it, and the step in which it did."""

    id: UUID
    namespace: str
    status: TokenStatus
    tags: tuple[str, ...]
    job_id: UUID | None
    name: str | None
    output: Json | None
    timeout_at: datetime | None
    created_at: datetime
    completed_at: datetime | None
    expired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFilter:
    """Every field given must hold; empty tuples do not narrow, several statuses are alternatives."""

    statuses: tuple[TokenStatus, ...] = ()
    tags: tuple[str, ...] = ()
    tag_mode: TagMode = TagMode.ALL
    job_id: UUID | None = None


ANY_TOKEN: Final = TokenFilter()


@dataclass(frozen=True, slots=True)
class TokenPosition:
    """A place in the list of tokens, newest first: that of one token."""

    created_at: datetime
    id: UUID
