"""Imports as tests make them: whole, or in slow motion, over a storage that may refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import httpx
import pytest

from app.main import Api
from dataqueue.domain.job import Enqueued, NewJob
from dataqueue.storage.port import JobStore
from tests.api.support import eventually, scope_of

PATH: Final = "/v1/jobs/import"
NDJSON: Final = {"content-type": "application/x-ndjson"}
Answers = list[dict[str, Any]]


def lines_of(*jobs: Any) -> bytes:
    return b"".join(json.dumps(job).encode() + b"\n" for job in jobs)


def parsed(text: str) -> Answers:
    return [json.loads(line) for line in text.splitlines()]


async def imported(client: httpx.AsyncClient, body: bytes | AsyncIterator[bytes]) -> Answers:
    """The answers, the summary last."""
    response = await client.post(PATH, content=body, headers=NDJSON)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.text.endswith("}\n")
    return parsed(response.text)


def summary(lines: int, *, created: int = 0, existing: int = 0, rejected: int = 0) -> dict[str, Any]:
    return {"summary": {"lines": lines, "created": created, "existing": existing, "rejected": rejected}}


class Caller:
    """A caller in slow motion: what it sends and reads is decided by the test, message by message."""

    def __init__(self, app: Api) -> None:
        self._app = app
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.messages: list[dict[str, Any]] = []
        scope = {**scope_of("POST", PATH), "headers": [(b"content-type", b"application/x-ndjson")], "app": app}
        self.task = asyncio.create_task(app(scope, self._sent.get, self._hear))

    async def _hear(self, message: Any) -> None:
        await self.reads.wait()
        self.messages.append(message)

    def sends(self, body: bytes, *, more: bool = True) -> None:
        self._sent.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def hangs_up(self) -> None:
        self._sent.put_nowait({"type": "http.disconnect"})

    async def has_been_heard(self) -> None:
        """All that was sent was taken."""
        await eventually("the service took what was sent", self._sent.empty)

    async def has_read(self, answers: int) -> None:
        await eventually(f"{answers} lines are answered", lambda: len(self.answers) == answers)

    @property
    def body(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    @property
    def answers(self) -> Answers:
        return parsed(self.body)

    @property
    def was_told_the_end(self) -> bool:
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)


Refusal = Callable[[Sequence[Sequence[NewJob]]], None]


class Intercepted:
    """The enqueues of a store, counted, and refused when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, jobs: JobStore) -> None:
        self.sizes: list[int] = []
        self.before: Refusal = lambda _: None
        self.open = asyncio.Event()
        self.open.set()
        self._enqueue = jobs.enqueue
        monkeypatch.setattr(jobs, "enqueue", self)

    async def __call__(
        self, units: Sequence[Sequence[NewJob]], *, again: bool = False, waited: bool = False
    ) -> list[list[Enqueued]]:
        await self.open.wait()
        self.before(units)
        self.sizes.append(len(units))
        return await self._enqueue(units, again=again, waited=waited)


def raising(error: Exception) -> Refusal:
    def refuse(_: Any) -> None:
        raise error

    return refuse
