"""Readers of the event stream, as programs in any language are: they parse, drop out, and resume."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(slots=True)
class Block:
    """One block of a stream: its fields, and its comments."""

    id: str | None = None
    event: str | None = None
    retry: int | None = None
    data: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    @property
    def said(self) -> Any:
        return json.loads("\n".join(self.data))


async def blocks_of(lines: AsyncIterator[str]) -> AsyncIterator[Block]:
    """A stream's blocks (WHATWG HTML, 9.2.6); one that is cut off in the middle is none."""
    block = Block()
    async for line in lines:
        if not line:
            yield block
            block = Block()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                block.comments.append(value)
            case "data":
                block.data.append(value)
            case "id":
                block.id = value
            case "event":
                block.event = value
            case "retry":
                block.retry = int(value)


class Reader:
    """Reads for a moment, hangs up, and resumes somewhere else, until it has seen the event it is told to wait for."""

    def __init__(self, urls: list[str], *, chance: random.Random) -> None:
        self._urls, self._chance = urls, chance
        self.seen: list[tuple[int, str, str]] = []
        self.resumes = 0
        self._place = ""

    async def read(self, last: Callable[[], int | None]) -> None:
        """`last`: the id of the last event there will be, once it is known."""
        while True:
            async with httpx.AsyncClient(timeout=30) as http:
                with suppress(TimeoutError, httpx.TransportError):
                    async with asyncio.timeout(self._chance.uniform(0.05, 0.8)):
                        await self._read_once(http, self._chance.choice(self._urls))
            if (end := last()) is not None and self.seen and self.seen[-1][0] >= end:
                return
            self.resumes += 1

    async def _read_once(self, http: httpx.AsyncClient, url: str) -> None:
        headers = {"last-event-id": self._place} if self._place else {}
        query = {} if self._place else {"after": "start"}
        async with http.stream("GET", f"{url}/v1/events", params=query, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for block in blocks_of(answer.aiter_lines()):
                if block.id is not None:
                    self._place = block.id
                if block.data:
                    event = block.said
                    assert (block.id, block.event) == (event["id"], event["event"])
                    self.seen.append((int(event["id"]), event["job_id"], event["event"]))
