"""Readers of the event stream in the same process, message by message, who parse as the standard has it."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import httpx

from app.main import Api
from tests.api.support import eventually, scope_of

PATH: Final = "/v1/events"
JSON_PAGE: Final = {"accept": "application/json"}
SOON: Final = 10
Query = Sequence[tuple[str, str]]
Nth = Callable[[int], str]
"""Positions of a log by the number of the event; see the fixture `nth`."""


class Message(NamedTuple):
    """What a page's listener would be called with."""

    event: str
    data: str
    last_event_id: str


class Parser:
    """An event stream, interpreted (WHATWG HTML, 9.2.6) however it is cut into pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._rest = ""
        self._data: list[str] = []
        self._event = self._id = ""
        self.messages: list[Message] = []
        self.comments: list[str] = []
        self.last_event_id = ""
        self.places: list[str] = []
        """The last event id after each block."""
        self.retry: int | None = None

    def feed(self, piece: bytes) -> None:
        self._rest += self._decoder.decode(piece)
        while (end := min((at for at in map(self._rest.find, "\r\n") if at >= 0), default=-1)) >= 0:
            if self._rest[end:] == "\r":
                return  # a line feed may follow
            length = 2 if self._rest.startswith("\r\n", end) else 1
            line, self._rest = self._rest[:end], self._rest[end + length :]
            self._line(line)

    @property
    def is_between_blocks(self) -> bool:
        return not self._rest and not self._data and not self._event

    def _line(self, line: str) -> None:
        if not line:
            self._dispatch()
            return
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name and colon:
            self.comments.append(value)
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        self.places.append(self._id)
        if self._data:
            self.messages.append(Message(self._event or "message", "\n".join(self._data), self.last_event_id))
        self._data, self._event = [], ""


class Reader:
    """A reader of the stream, who reads as the test has it read."""

    def __init__(
        self, app: Api, *query: tuple[str, str], headers: dict[str, str] | None = None, method: str = "GET"
    ) -> None:
        self.messages: list[dict[str, Any]] = []
        self.parser = Parser()
        self.reads = asyncio.Event()
        self.reads.set()
        self._hangs_up = asyncio.Event()
        self._asked = False
        given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {**scope_of(method, PATH, urlencode(query).encode()), "headers": given}
        self.task = asyncio.create_task(app(scope, self._receive, self._hear))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._hangs_up.wait()
        return {"type": "http.disconnect"}

    async def _hear(self, message: Any) -> None:
        await self.reads.wait()
        assert not self.has_ended, "it spoke after the end"
        self.messages.append(message)
        if self.status == 200:
            self.parser.feed(message.get("body", b""))

    @property
    def status(self) -> int | None:
        status: int | None = self.messages[0]["status"] if self.messages else None
        return status

    @property
    def response(self) -> httpx.Response:
        """All there is of the answer."""
        body = b"".join(message.get("body", b"") for message in self.messages[1:])
        return httpx.Response(self.status or 0, headers=self.messages[0]["headers"], content=body)

    @property
    def has_ended(self) -> bool:
        """It was told that no more comes."""
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    @property
    def heard(self) -> list[tuple[str, str]]:
        """Of each event the job's type and the name."""
        return [(event["job_type"], event["event"]) for event in self.events]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(message.data) for message in self.parser.messages]

    @property
    def place(self) -> str:
        """Where it would resume."""
        return self.parser.last_event_id

    async def is_connected(self) -> None:
        await eventually("the stream begins", lambda: "connected" in self.parser.comments or self.task.done())
        assert "connected" in self.parser.comments, self.messages

    async def has_heard(self, count: int) -> list[dict[str, Any]]:
        await eventually(f"{count} events", lambda: len(self.parser.messages) >= count, seconds=SOON)
        assert len(self.parser.messages) == count, self.heard
        return self.events

    async def hangs_up(self) -> None:
        """Leave, and see that nobody goes on talking."""
        self._hangs_up.set()
        await self.ends()

    async def ends(self) -> None:
        async with asyncio.timeout(SOON):
            await self.task


@asynccontextmanager
async def reading(app: Api, *query: tuple[str, str], **options: Any) -> AsyncIterator[Reader]:
    """A reader who is connected."""
    reader = Reader(app, *query, **options)
    try:
        await reader.is_connected()
        yield reader
    finally:
        reader.reads.set()
        await reader.hangs_up()


async def page(client: httpx.AsyncClient, *query: tuple[str, str], **headers: str) -> dict[str, Any]:
    """A page of events."""
    response = await client.get(PATH, params=httpx.QueryParams(query), headers={**JSON_PAGE, **headers})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    assert set(found) == {"data", "next_cursor"}
    assert found["next_cursor"].isdigit(), "it is always a position"
    return found


def nothing_is_left(app: Api) -> None:
    """Of the streams there were."""
    hub, streams = app.service.hub, app.service.streams
    assert (hub.followers, dict(hub._frontiers), hub._index._under) == (0, {}, {})
    assert (streams.is_full, streams._taken, streams._open) == (False, 0, set())
    tasks = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks() if not task.done())
    assert not {"_deliver", "_hang_up", "follow"} & set(tasks)
