"""The outermost layer: every answer has a request id, and nothing raised leaves without one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from time import perf_counter
from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import PROBLEM_JSON, Code, Problem, problem_of
from app.requests import Requests
from dataqueue.log_context import request_in_hand
from dataqueue.traces import trace_of

_CALLERS_ID: Final = re.compile(rb"[!-~]{1,128}")
_log = structlog.get_logger(__name__)


class ClientGone(Exception):
    """The caller hung up; there is nobody to answer."""


class Edge:
    """Pure ASGI, around the router alone: Starlette's own layers would catch and wrap the same things again."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute], requests: Requests) -> None:
        self._app, self._routes, self._requests = app, routes, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, _plain_refusal(send))
            return
        arrived = perf_counter()
        request_id = request_id_of(scope["headers"])
        named = request_in_hand.set(request_id.decode())
        head = scope["method"] == "HEAD"
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._requests.answered(scope, message["status"], perf_counter() - arrived)
                # Not into the message: it may be one that the application sends again and again.
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id)]}
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except ClientGone:
            return
        except Exception as error:
            problem = self._problem_of(error, scope)
            if problem.status == 500:
                _report(error, request_id.decode(), scope)
            if started:
                raise
            if isinstance(error, HTTPException) and scope["method"] == "OPTIONS" and problem.status == 405:
                await _send_allowed(answer, problem)
            else:
                await _send_problem(answer, problem, request_id.decode())
        finally:
            request_in_hand.reset(named)

    def _problem_of(self, error: Exception, scope: Scope) -> Problem:
        if isinstance(error, HTTPException) and error.status_code == 405:
            allowed = self._allowed(scope)
            detail = f"This path answers {allowed}."
            return Problem(405, Code.METHOD_NOT_ALLOWED, detail, headers=((b"allow", allowed.encode()),))
        return problem_of(error)

    def _allowed(self, scope: Scope) -> str:
        """The methods of every route of this path, not only of the first one found."""
        methods = {"OPTIONS"}
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                methods |= set(getattr(route, "methods", None) or ())
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods))


def _plain_refusal(send: Send) -> Send:
    """A refusal to start is a sentence for a person: the traceback around it would hide it."""

    async def say(message: Message) -> None:
        error = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(error, SystemExit):
            message = {**message, "message": str(error)}
        await send(message)

    return say


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The caller's, when it is fit to be logged and sent back, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _CALLERS_ID.fullmatch(value):
            return bytes(value)
    return os.urandom(16).hex().encode()


def _report(error: Exception, request_id: str, scope: Scope) -> None:
    # Formatted here: a renderer that shows messages and local variables would log payloads and keys.
    path = scope["path"][:200]
    _log.error("request.failed", request_id=request_id, method=scope["method"], path=path, exception=trace_of(error))


async def _send_problem(send: Send, problem: Problem, request_id: str) -> None:
    body = problem.body(request_id=request_id)
    headers = [
        (b"content-type", PROBLEM_JSON),
        (b"content-length", b"%d" % len(body)),
        *problem.headers,
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_allowed(send: Send, problem: Problem) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [*problem.headers]})
    await send({"type": "http.response.body", "body": b""})
