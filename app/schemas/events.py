"""How the event stream is asked for (contract 4, details A11, G1, K1)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.errors import Code, invalid
from app.query import Query
from app.schemas import examples
from app.schemas.examples import shown
from app.schemas.fields import JobId, refuse
from app.schemas.filters import Names, Tags
from app.schemas.jobs import Limit
from dataqueue.domain.events import EventFilter, EventName
from dataqueue.domain.filters import TagMode

_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)
_STILL_TO_COME: Final = frozenset({"cron:enqueued", "cron:skipped", "webhook:opened", "webhook:closed", "queue:error"})


def _event_name(value: object) -> EventName:
    if value in _STILL_TO_COME:
        raise PydanticCustomError(Code.NOT_AVAILABLE, "there are no such events yet")
    try:
        return EventName(str(value))
    except ValueError:
        raise refuse("must be the name of an event, like job:completed") from None


_Event = Annotated[
    EventName,
    PlainValidator(_event_name),
    WithJsonSchema({"type": "string", "enum": [name.value for name in EventName]}),
]


def _place(value: object) -> int | None:
    if value == "now":
        return None
    if value == "start":
        return OLDEST_KEPT
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise refuse("must be the id of an event, now or start")


def _last_event_id(value: object) -> int | None:
    if value == "":
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise refuse("must be the id of an event")


OLDEST_KEPT: Final = -1
"""A place that is no position: before the oldest event that is kept."""
LastEventId = Annotated[
    int | None, PlainValidator(_last_event_id), WithJsonSchema({"type": "string", "pattern": "^([0-9]{1,18})?$"})
]
_Place = Annotated[
    int | None,
    PlainValidator(_place),
    WithJsonSchema({"type": "string", "pattern": "^(now|start|[0-9]{1,18})$", "default": "now"}),
]


class EventsQuery(Query):
    """Which events, and from where on. Values of one parameter are alternatives (of `tags`: a set)."""

    not_built: ClassVar[frozenset[str]] = frozenset({"group_id"})

    event: Annotated[list[_Event], Field(max_length=100)] = Field(
        default_factory=list, description="Of these names. Repeat for several."
    )
    job_id: Annotated[list[JobId], Field(max_length=100)] = Field(
        default_factory=list, description="Of these jobs. Repeat for several."
    )
    job_type: Names = Field(default_factory=list, description="Of these job types. Repeat for several.")
    tags: Tags = Field(
        default_factory=list, description="Of jobs that had these tags when it happened; see `tag_mode`."
    )
    tag_mode: TagMode | None = Field(
        None, description="How `tags` narrow: `all` of them (the default), `any`, `exact` these, or `none` of them."
    )
    after: _Place = Field(
        None,
        description="Where to begin: after a position (the `id` of an event, or a page's `next_cursor`), `now` (the "
        "default) or `start`, the oldest event that is kept. The header `Last-Event-ID` wins over it.",
    )
    limit: Limit | None = Field(None, description="Of a page: how many events at most, 1 to 1000, by default 50.")
    ticket: str | None = Field(
        None, max_length=200, description="A ticket of `POST /v1/events/ticket`, instead of a key. It serves once."
    )

    @property
    def matching(self) -> EventFilter:
        if self.tag_mode is not None and not self.tags:
            raise invalid(("query", "tag_mode"), "means nothing without tags")
        return EventFilter(
            events=tuple(self.event),
            job_ids=tuple(self.job_id),
            job_types=tuple(self.job_type),
            tags=tuple(self.tags),
            tag_mode=self.tag_mode or TagMode.ALL,
        )


class TicketOut(BaseModel):
    """A pass to the event stream."""

    model_config = ConfigDict(json_schema_extra=shown(examples.TICKET))

    ticket: str = Field(description="For `GET /v1/events?ticket=…`, once.")
    expires_at: datetime = Field(description="Until when the stream must have been opened.")
