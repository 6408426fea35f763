"""Tokens as asked for and as read (contract 2, details E)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, PlainValidator, WithJsonSchema

from app.errors import invalid
from app.query import Query
from app.schemas import examples
from app.schemas.enqueue import RequestBody, once_each
from app.schemas.examples import shown
from app.schemas.fields import UUID_SCHEMA, Delay, JobId, Tag, duration_schema
from app.schemas.filters import Tags
from app.schemas.jobs import PageQuery
from dataqueue.domain.filters import TagMode
from dataqueue.domain.limits import MOST_TAGS
from dataqueue.domain.tokens import NewToken, TokenFilter, TokenStatus
from dataqueue.errors import NotFound
from dataqueue.ids import new_id

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def _in_callback_url(value: object) -> UUID:
    # What stands in such a URL is ours, to the letter: what does not look like it is nothing we know.
    if isinstance(value, str) and _ID.fullmatch(value):
        return UUID(value)
    raise NotFound("there is no such token")


CallbackId = Annotated[UUID, PlainValidator(_in_callback_url), WithJsonSchema(UUID_SCHEMA)]


class TokenRequest(RequestBody):
    """A token to wait for. Nothing is required."""

    model_config = ConfigDict(json_schema_extra=shown(examples.TOKEN_REQUEST))

    timeout: Annotated[
        Delay,
        WithJsonSchema(duration_schema("When it expires, unless it is completed before; if not given, it never does.")),
    ] = None
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS), FailFast(), AfterValidator(once_each)] = Field(
        default_factory=list, description="Labels; a repeated one is kept once."
    )


class TokenOut(BaseModel):
    """A token as read."""

    model_config = ConfigDict(json_schema_extra=shown(examples.TOKEN))

    id: UUID
    status: TokenStatus
    tags: list[str]
    job_id: UUID | None = Field(description="The job that made it, if one did.")
    name: str | None = Field(description="The step of that job in which it did.")
    output: Any = Field(description="What it was completed with; null until then.")
    timeout_at: datetime | None = Field(description="When it expires; null: never.")
    created_at: datetime
    completed_at: datetime | None
    expired_at: datetime | None


class CreatedTokenOut(TokenOut):
    """A token just made, with the URL that completes it."""

    model_config = ConfigDict(json_schema_extra=shown(examples.TOKEN_CREATED))

    callback_url: str = Field(
        description="A POST there completes the token, without a key. Told here alone; hand it to whoever may."
    )


class TokenPage(BaseModel):
    """Tokens, newest first."""

    model_config = ConfigDict(json_schema_extra=shown(examples.TOKENS))

    data: list[TokenOut]
    next_cursor: str | None = Field(description="Give it back as `cursor` for the next page; null: this is the last.")


class TokenListQuery(PageQuery):
    """Which tokens. Values of one parameter are alternatives (of `tags`: a set), parameters narrow each other."""

    status: Annotated[list[TokenStatus], Field(max_length=100)] = Field(
        default_factory=list, description="Repeat for several."
    )
    tags: Tags = Field(default_factory=list, description="Repeat for several; see `tag_mode`.")
    tag_mode: TagMode | None = Field(
        None,
        description="How `tags` narrow: `all` of them (the default), `any`, `exact` these in any order, or `none` of "
        "them.",
    )
    job_id: Annotated[UUID | None, *JobId.__metadata__] = Field(None, description="Made by this job.")

    @property
    def matching(self) -> TokenFilter:
        if self.tag_mode is not None and not self.tags:
            raise invalid(("query", "tag_mode"), "means nothing without tags")
        # In an order of their own: what the same filter is, however it was written.
        return TokenFilter(
            statuses=tuple(sorted(set(self.status))),
            tags=tuple(sorted(set(self.tags))),
            tag_mode=self.tag_mode or TagMode.ALL,
            job_id=self.job_id,
        )


class ExpiredOut(BaseModel):
    """What expiring came to."""

    model_config = ConfigDict(json_schema_extra=shown(examples.EXPIRED))

    expired: int = Field(description="How many tokens were timed out.")


class CallbackQuery(Query):
    """What a callback URL carries. Post to it as it was given."""

    namespace: str = Field("", description="As in the URL.")
    signature: str = Field("", description="As in the URL.")


class CallbackOut(BaseModel):
    """That it is done, and nothing about who waits."""

    model_config = ConfigDict(json_schema_extra=shown(examples.CALLED_BACK))

    id: UUID
    status: TokenStatus


def new_token(request: TokenRequest) -> NewToken:
    """The token asked for."""
    return NewToken(id=new_id(), timeout=request.timeout, tags=tuple(request.tags))
