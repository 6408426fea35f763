"""Which pages of other sites a browser lets call the API: those of the settings, and without cookies."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge import request_id_of

_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")
_HEADERS: Final = ("authorization", "content-type", "idempotency-key", "last-event-id", "x-request-id")
_EXPOSED: Final = ("x-request-id", "location")


class CrossOrigin(CORSMiddleware):
    """Starlette's own, around the edge: so a refusal and a stream carry its headers as well, and a page can read them.

    For any other origin it does no more than say that the answer depends on it.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=frozenset(origins),
            allow_methods=_METHODS,
            allow_headers=_HEADERS,
            expose_headers=_EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.is_allowed_origin(Headers(scope=scope).get("origin", "")):
            # Starlette's would tell such a page the methods and headers of the others.
            await self.app(scope, receive, _varying(send))
            return
        await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answered here, short of the edge, which gives every other answer its request id."""
        response = super().preflight_response(request_headers)
        response.headers["x-request-id"] = request_id_of(request_headers.raw).decode()
        return response


def _varying(send: Send) -> Send:
    # A cache between us must not answer an allowed origin with what it keeps for another.
    async def say(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"vary", b"Origin")]}
        await send(message)

    return say
