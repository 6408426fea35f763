"""Tags and what has them (contract 1.3)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as QueryParameters

from app.auth import requires
from app.cursors import name_of, read_cursor, write_cursor
from app.documentation import problems
from app.naming import NamedRoute
from app.rendering import page_json, tag_json
from app.routing import Answer, Call
from app.schemas.fields import Tag
from app.schemas.tags import TagListQuery, TagOut, TagPage
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=NamedRoute, tags=["jobs"], dependencies=[requires(Scope.READ)])


@router.get("/v1/tags", response_model=TagPage, summary="List tags", responses=problems(401, 403, 422, 503))
async def list_tags(query: Annotated[TagListQuery, QueryParameters()], call: Call) -> Answer:
    """Tags that some job has, by name in the order of code points, each with its jobs by status.

    What it costs does not depend on how many jobs have a tag.
    """
    of = ["tags", call.namespace, query.prefix or ""]
    after = None if query.cursor is None else read_cursor(query.cursor, of=of, as_a=name_of)
    tags = await call.tally.tags(prefix=query.prefix or "", after=after, limit=query.limit + 1)
    page = tags[: query.limit]
    more = write_cursor(page[-1].tag.encode(), of=of) if len(tags) > len(page) else None
    return Answer(page_json([tag_json(tag) for tag in page], more))


@router.get("/v1/tags/{tag}", response_model=TagOut, summary="Read a tag", responses=problems(401, 403, 404, 422, 503))
async def read_tag(tag: Tag, call: Call) -> Answer:
    """A tag with its jobs by status. Percent-encode it in the path, a slash as `%2F`."""
    return Answer(tag_json(await call.tally.tag(tag)))
