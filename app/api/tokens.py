"""Tokens that a job can wait for (contract 2)."""

from __future__ import annotations

from time import monotonic
from typing import Annotated, Any, Final

from fastapi import APIRouter
from fastapi import Query as QueryParameters

from app.auth import requires
from app.cursors import place_of_token, read_cursor, token_position_of, write_cursor
from app.documentation import problems
from app.errors import Code
from app.foreign_bodies import check_output_size, json_output
from app.reading import check_media_type, read_body
from app.rendering import page_json, token_json
from app.routing import Answer, Call, JsonRoute
from app.schemas import examples
from app.schemas.enqueue import NoFields
from app.schemas.fields import JobId
from app.schemas.tokens import (
    CreatedTokenOut,
    ExpiredOut,
    TokenListQuery,
    TokenOut,
    TokenPage,
    TokenRequest,
    new_token,
)
from dataqueue.domain.keys import Scope
from dataqueue.tokens import complete_token as complete
from dataqueue.tokens import create_token as create
from dataqueue.tokens import expire_tokens as expire

router = APIRouter(route_class=JsonRoute, tags=["tokens"])
_LONGEST: Final = 5.0
_BATCH: Final = 1000
_LOCATION: Final = {"required": True, "schema": {"type": "string"}, "description": "Path of the token."}
_OUTPUT: Final[dict[str, Any]] = {
    "description": "The output: any JSON value. No body is null.",
    "content": {"application/json": {"schema": {}, "example": examples.OUTPUT}},
}
ENDED: Final = {
    409: (Code.TOKEN_ALREADY_COMPLETED, "the token was completed before, with another output: the first one counts"),
    410: (Code.TOKEN_EXPIRED, "the token expired before it was completed"),
}


@router.post(
    "/v1/tokens",
    status_code=201,
    response_model=CreatedTokenOut,
    summary="Create a token",
    dependencies=[requires(Scope.ENQUEUE)],
    responses={201: {"headers": {"Location": _LOCATION}}, **problems(401, 403, 413, 415, 422, 503)},
)
async def create_token(call: Call, token: TokenRequest | None = None) -> Answer:
    """Make a token that belongs to no job. A job may wait for it, now or later, until somebody completes it.

    `callback_url` completes it without a key: for a third party's webhook, or a link behind a button. It is told in
    this answer alone. Its base is `DATAQUEUE_PUBLIC_URL`, else that of this request.
    """
    urls = await call.callback_urls()
    created = await create(call.tokens, new_token(token or TokenRequest()), namespace=call.namespace, urls=urls)
    location = (b"location", b"/v1/tokens/%s" % str(created.id).encode())
    return Answer(token_json(created.token, callback_url=created.callback_url), 201, (location,))


@router.get(
    "/v1/tokens",
    response_model=TokenPage,
    summary="List tokens",
    dependencies=[requires(Scope.READ)],
    responses=problems(401, 403, 422, 503),
)
async def list_tokens(query: Annotated[TokenListQuery, QueryParameters()], call: Call) -> Answer:
    """Tokens of the namespace, newest first, those that jobs have made among them.

    A page may hold fewer than `limit`, even none, and yet have a `next_cursor`.
    """
    matching = query.matching
    of = ["tokens", call.namespace, repr(matching)]
    page = await call.tokens.page(
        matching,
        before=None if query.cursor is None else read_cursor(query.cursor, of=of, as_a=token_position_of),
        limit=query.limit,
    )
    more = None if page.next is None else write_cursor(place_of_token(page.next), of=of)
    return Answer(page_json([token_json(token) for token in page.tokens], more))


@router.post(
    "/v1/tokens/expire",
    response_model=ExpiredOut,
    summary="Expire tokens now",
    dependencies=[requires(Scope.MANAGE)],
    responses=problems(401, 403, 413, 415, 422, 503),
)
async def expire_tokens(call: Call, body: NoFields | None = None) -> Answer:
    """Time out the tokens of the namespace whose time is up, and resume the jobs that wait for them.

    Every worker does so by itself. It takes on nothing more after five seconds: ask again until it answers 0.
    """
    until = monotonic() + _LONGEST
    count = await expire(
        call.service.storage.upkeep,
        namespace=call.namespace,
        batch=_BATCH,
        ready=call.ready,
        may_go_on=lambda: monotonic() < until,
    )
    return Answer(b'{"expired":%d}' % count)


@router.get(
    "/v1/tokens/{token_id}",
    response_model=TokenOut,
    summary="Read a token",
    dependencies=[requires(Scope.READ)],
    responses=problems(401, 403, 404, 422, 503),
)
async def read_token(token_id: JobId, call: Call) -> Answer:
    """The token as it is now. One whose time is up may read `waiting` until it is expired, and cannot be completed."""
    return Answer(token_json(await call.tokens.get(token_id)))


@router.post(
    "/v1/tokens/{token_id}/complete",
    response_model=TokenOut,
    summary="Complete a token",
    dependencies=[requires(Scope.ENQUEUE, Scope.MANAGE)],
    responses=problems(401, 403, 404, 409, 410, 413, 415, 422, 503, saying=ENDED),
    openapi_extra={"requestBody": _OUTPUT},
)
async def complete_token(token_id: JobId, call: Call) -> Answer:
    """Give a token its output, the body, and resume the jobs that wait for it. The first completion counts.

    The same output again answers 200 and changes nothing: a repeat after a lost answer is safe. One of several scopes
    is enough.
    """
    headers, settings = dict(call.scope["headers"]), call.service.settings
    body = await read_body(call.receive, headers, limit=settings.max_body_bytes)
    if body:
        check_media_type(headers)
    output = json_output(body)
    check_output_size(output, settings.max_payload_bytes)
    token = await complete(call.tokens, token_id, output=output, ready=call.ready)
    return Answer(token_json(token))
