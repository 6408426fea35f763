"""What is said of a job as it moves, and how a stream of it is narrowed (contract 4, details C24)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from dataqueue.domain.filters import TagMode
from dataqueue.domain.job import Json


class EventName(StrEnum):
    ADDED = "job:added"
    PROCESSING = "job:processing"
    COMPLETED = "job:completed"
    FAILED = "job:failed"
    RELEASED = "job:released"
    RECLAIMED = "job:reclaimed"
    CANCELLED = "job:cancelled"
    RETRIED = "job:retried"
    EDITED = "job:edited"
    DEAD_LETTERED = "job:dead_lettered"
    WAITING = "job:waiting"
    RESUMED = "job:resumed"
    PROLONGED = "job:prolonged"
    PROGRESS = "job:progress"
    OUTPUT = "job:output"
    STEP_COMPLETED = "step:completed"
    TOKEN_CREATED = "token:created"
    TOKEN_COMPLETED = "token:completed"
    TOKEN_EXPIRED = "token:expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the log. `id` is its position: it only grows, and per job in the order things happened.

    `tags`: those the job had when it happened; of a `token:*` event those of the token. Such an event has no job where
    the token has none.
    """

    id: int
    namespace: str
    event: EventName
    job_id: UUID | None
    job_type: str | None
    tags: tuple[str, ...]
    at: datetime
    data: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Every field given must hold; empty tuples do not narrow, several values of one field are alternatives.

    Tags narrow by `tag_mode`, as lists of jobs do.
    """

    events: tuple[EventName, ...] = ()
    job_ids: tuple[UUID, ...] = ()
    job_types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tag_mode: TagMode = TagMode.ALL

    def matches(self, event: Event) -> bool:
        """Whether an event of the right namespace is one of those asked for."""
        return (
            (not self.events or event.event in self.events)
            and (not self.job_ids or event.job_id in self.job_ids)
            and (not self.job_types or event.job_type in self.job_types)
            and (not self.tags or self._has_tags(event.tags))
        )

    def _has_tags(self, tags: tuple[str, ...]) -> bool:
        match self.tag_mode:
            case TagMode.EXACT:
                return set(self.tags) == set(tags)
            case TagMode.ALL:
                return set(self.tags) <= set(tags)
            case TagMode.ANY:
                return not set(self.tags).isdisjoint(tags)
            case TagMode.NONE:
                return set(self.tags).isdisjoint(tags)


EVERYTHING: Final = EventFilter()
