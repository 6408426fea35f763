"""A service that answers what a test says, and a way to ask both clients the same."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx

from dataqueue.client import AsyncClient, Client, Patience
from dataqueue.client.encoding import decode

JOB_ID: Final = "01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61"
URL: Final = "http://queue.test"
AT_ONCE: Final = Patience(first=0)
LOST: Final = httpx.ReadError("the connection broke")
REFUSED: Final = httpx.ConnectError("[Errno 111] Connection refused")

Answer = httpx.Response | httpx.RequestError


def answer(body: object = None, status: int = 200, **headers: str) -> httpx.Response:
    """An answer of the service."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return httpx.Response(status, headers=named)
    return httpx.Response(status, json=body, headers=named)


def problem(
    status: int, code: str, detail: str = "no", *, errors: list[dict[str, Any]] | None = None, **headers: str
) -> httpx.Response:
    """A problem of the service."""
    body = {"type": f"urn:{code}", "title": code, "status": status, "detail": detail, "code": code, "request_id": "r1"}
    given = answer(body if errors is None else body | {"errors": errors}, status, **headers)
    given.headers["content-type"] = "application/problem+json"
    return given


def lines(*texts: str) -> httpx.Response:
    """An answer to an import."""
    content = "".join(f"{text}\n" for text in texts)
    return httpx.Response(200, content=content, headers={"content-type": "application/x-ndjson"})


class Service:
    """Gives its answers one after another, and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        given = self.answers.popleft()
        if isinstance(given, httpx.RequestError):
            raise given
        # A copy: a client of either kind reads an answer in its own way, and a test may give one twice.
        return httpx.Response(given.status_code, headers=given.headers, content=given.content)

    @property
    def request(self) -> httpx.Request:
        [only] = self.requests
        return only

    @property
    def bodies(self) -> list[Any]:
        return [decode(request.content) for request in self.requests]


class Speaker:
    """One of the clients before that service. `ask` calls an operation by its name; a list is walked to its end."""

    def __init__(self, kind: type[Client] | type[AsyncClient], service: Service, **options: Any) -> None:
        options = {"url": URL, "patience": AT_ONCE, "transport": httpx.MockTransport(service), **options}
        self.client, self.service = kind(**options), service

    async def ask(self, operation: str, *arguments: Any, **named: Any) -> Any:
        given = getattr(self.client, operation)(*arguments, **named)
        if isinstance(given, AsyncIterator):
            return [one async for one in given]
        if isinstance(given, Iterator):
            return list(given)
        return await given if inspect.isawaitable(given) else given

    async def close(self) -> None:
        if isinstance(self.client, AsyncClient):
            await self.client.aclose()
        else:
            self.client.close()
