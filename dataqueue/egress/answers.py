"""What came back: as a whole, or as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from dataqueue.egress.connection import Connection
from dataqueue.egress.errors import BodyTooLarge
from dataqueue.egress.reading import AnswerReader


@dataclass(frozen=True, slots=True)
class Answer:
    """The names of headers are in lower case; the body is as it was sent, whatever its encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AnswerStream:
    """An answer whose head is there and whose body is on its way. Within the call's deadline and its limit of bytes."""

    def __init__(self, connection: Connection, reader: AnswerReader, *, max_body: int) -> None:
        self.status = reader.status
        self.headers: Mapping[str, str] = reader.headers
        self._connection, self._max_body = connection, max_body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. What came before a failure is handed out before that is raised."""
        while chunk := await self._connection.chunk():
            yield chunk

    async def lines(self, *, longest: int | None = None) -> AsyncIterator[bytes]:
        """The body's lines without their ends, blank ones too; the last one may lack an end. BodyTooLarge for one that
        is longer than `longest`.
        """
        limit = self._max_body if longest is None else longest
        # What has no end yet, in parts: a long line that drips is not copied with each of its bytes.
        parts: list[bytes] = []
        size = 0
        while chunk := await self._connection.chunk():
            *whole, rest = chunk.split(b"\n")
            for end in whole:
                if size + len(end) > limit:
                    raise BodyTooLarge(limit, status=self.status)
                yield b"".join((*parts, end)).removesuffix(b"\r")
                parts, size = [], 0
            if rest:
                parts.append(rest)
                size += len(rest)
            if size > limit:
                raise BodyTooLarge(limit, status=self.status)
        if parts:
            yield b"".join(parts).removesuffix(b"\r")

    async def read(self) -> bytes:
        """What is left of the body."""
        parts = [chunk async for chunk in self.chunks()]
        return parts[0] if len(parts) == 1 else b"".join(parts)
