"""Answers that are read as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.egress import AnswerStream, BodyTooLarge, BrokenAnswer, GuardedClient, TimedOut
from tests.egress.calling import policy
from tests.egress.receivers import Behaviour, Receiver, answering, answering_and_closing, dripping, pouring, receiver

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


@asynccontextmanager
async def streaming(behaviour: Behaviour, **changes: Any) -> AsyncIterator[tuple[AnswerStream, Receiver]]:
    usual: dict[str, Any] = {"namespace": "default", "within": 20.0, "max_body": 100_000, "body": b"{}"}
    async with (
        receiver(behaviour) as one,
        GuardedClient(policy(one.port)) as client,
        client.stream(one.url(), **{**usual, **changes}) as answer,
    ):
        yield answer, one


async def follow(behaviour: Behaviour, seen: list[bytes], *, longest: int | None = None, **changes: Any) -> None:
    """Keep the lines as they come."""
    async with streaming(behaviour, **changes) as (answer, _):
        async for line in answer.lines(longest=longest):
            seen.append(line)  # noqa: PERF401 - what came before a failure is what the tests look at


async def test_lines_are_whole_however_they_were_cut_and_blank_ones_are_there() -> None:
    behaviour = answering(chunked(b'{"a":', b"1}\n\n\r\n", b'{"b":2}\r', b'\n{"c":3}\n{"d"', b":4}"))
    async with streaming(behaviour) as (answer, _):
        assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
        lines = [line async for line in answer.lines()]
    assert lines == [b'{"a":1}', b"", b"", b'{"b":2}', b'{"c":3}', b'{"d":4}']


class Chunks:
    """Stands for a connection."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = iter([*filter(None, parts), b""])

    async def chunk(self) -> bytes:
        return next(self._parts)


@given(st.binary(max_size=60).map(lambda text: text.replace(b"x", b"\n")), st.lists(st.integers(0, 60)))
def test_lines_do_not_depend_on_the_chunks(body: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    parts = [body[start:end] for start, end in pairwise(places)]

    async def lines() -> list[bytes]:
        answer = AnswerStream(Chunks(parts), _Head(), max_body=100)  # type: ignore[arg-type]
        return [line async for line in answer.lines()]

    expected = body.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert asyncio.run(lines()) == [line.removesuffix(b"\r") for line in expected]


class _Head:
    status = 200
    headers: dict[str, str] = {}  # noqa: RUF012


async def test_each_line_is_there_before_the_next_is_sent() -> None:
    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.request(reader)
        writer.write(HEAD)
        for number in range(3):
            writer.write(b"2\r\n%d\n\r\n" % number)
            await one.until(lambda one, number=number: one.port < -number)  # type: ignore[misc]
        writer.write(b"0\r\n\r\n")

    async with streaming(behave) as (answer, one):
        port, seen = one.port, []
        async for line in answer.lines():
            seen.append(line)
            # The receiver waits until it is told that this one has come.
            one.port = -len(seen)
            async with one._changed:
                one._changed.notify_all()
        one.port = port
    assert seen == [b"0", b"1", b"2"]


async def test_what_came_before_a_failure_is_handed_out_first() -> None:
    behaviour = answering_and_closing(chunked(b"1\n2\n", b"3\n", end=b""))
    seen: list[bytes] = []
    with pytest.raises(BrokenAnswer):
        await follow(behaviour, seen)
    assert seen == [b"1", b"2", b"3"]


async def test_a_stream_is_held_to_the_deadline_and_to_the_limit() -> None:
    seen: list[bytes] = []
    with pytest.raises(TimedOut):
        await follow(dripping(HEAD, b"1\r\n\n\r\n", every=0.02), seen, within=0.3)
    assert set(seen) == {b""}
    seen.clear()
    with pytest.raises(BodyTooLarge):
        await follow(pouring(HEAD, b"400\r\n" + b"a" * 1023 + b"\n\r\n"), seen)
    assert seen == [b"a" * 1023] * (100_000 // 1024)


@pytest.mark.parametrize("parts", [(b"a" * 11 + b"\n",), (b"a" * 11,), tuple([b"a"] * 11)])
async def test_a_line_that_is_too_long_is_refused(parts: tuple[bytes, ...]) -> None:
    seen: list[bytes] = []
    with pytest.raises(BodyTooLarge):
        await follow(answering(chunked(b"a" * 10 + b"\n", *parts)), seen, longest=10)
    assert seen == [b"a" * 10]


async def test_leaving_early_ends_the_call_and_reading_all_keeps_the_connection() -> None:
    async with receiver(answering(chunked(b"1\n", b"2\n"))) as one, GuardedClient(policy(one.port)) as client:
        for connections, read in ((1, True), (1, True), (1, False), (2, True)):
            async with client.stream(one.url(), namespace="a", within=20, max_body=100) as answer:
                if read:
                    assert await answer.read() == b"1\n2\n"
            assert one.connections == connections
