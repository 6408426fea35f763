"""Completing a token without a key, by the URL that was handed out for it (contract 2, details E5; traps 2.7)."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter
from fastapi import Query as QueryParameters

from app.api.tokens import ENDED
from app.documentation import problems
from app.errors import Code
from app.foreign_bodies import output_of
from app.reading import check_encoding, read_body
from app.routing import Answer, Call, JsonRoute
from app.schemas import examples
from app.schemas.tokens import CallbackId, CallbackOut, CallbackQuery
from dataqueue.tokens import complete_token

router = APIRouter(route_class=JsonRoute, tags=["tokens"])
# The URL is the capability: it is not to be handed on, nor its answer kept.
_PRIVATE: Final = ((b"referrer-policy", b"no-referrer"), (b"cache-control", b"no-store"))
_BODY: Final[dict[str, Any]] = {
    "description": "The output, in any content type. No body is null.",
    "content": {
        "application/json": {"schema": {}, "example": examples.OUTPUT},
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "example": examples.OUTPUT,
        },
        "text/plain": {"schema": {"type": "string"}, "example": "approved by grace"},
    },
}
_HEADERS: Final = {
    name: {"required": True, "schema": {"const": value}, "description": "The URL is a secret."}
    for name, value in (("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"))
}
_SAYING: Final = {**ENDED, 403: (Code.INVALID_SIGNATURE, "this is not the callback URL of this token")}


@router.post(
    "/v1/tokens/{token_id}/callback",
    response_model=CallbackOut,
    summary="Complete a token by its callback URL",
    responses={
        200: {"headers": _HEADERS},
        **problems(403, 404, 409, 410, 413, 415, 422, 503, saying=_SAYING),
    },
    openapi_extra={"requestBody": _BODY},
)
async def call_back(token_id: CallbackId, query: Annotated[CallbackQuery, QueryParameters()], call: Call) -> Answer:
    """What `callback_url` of a new token is. It needs no key: its signature admits to this one token.

    The content type decides what the output is. JSON is parsed. A form, also a multipart one without files, becomes an
    object of strings, a repeated field a list of them. Any other text is kept as a string. Without a content type it is
    JSON, unless it does not parse.

    As with a key, the first completion counts, and the same output again answers 200. Only a POST completes, so that a
    preview of the link does not.
    """
    urls = await call.callback_urls()
    urls.check(query.namespace, token_id, query.signature)
    headers, limit = dict(call.scope["headers"]), call.service.settings.max_payload_bytes
    body = await read_body(call.receive, headers, limit=limit)
    check_encoding(headers)
    output = output_of(body, headers.get(b"content-type", b"").decode("latin-1"), most=limit)
    tokens = call.service.storage.tokens(query.namespace)
    ready = call.service.announcer("ready", query.namespace)
    token = await complete_token(tokens, token_id, output=output, ready=ready)
    return Answer(orjson.dumps({"id": str(token.id), "status": token.status}), headers=_PRIVATE)
