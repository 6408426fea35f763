"""Receivers that do not behave, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any, cast

import pytest

from dataqueue.egress import BodyTooLarge, BrokenAnswer, CallFailed, GuardedClient, HeadersTooLarge, TimedOut
from dataqueue.egress.connection import Connection
from dataqueue.egress.reading import AnswerReader
from tests.egress.calling import call, policy
from tests.egress.receivers import (
    OK,
    Behaviour,
    Receiver,
    answering,
    answering_and_closing,
    dripping,
    hanging_up,
    pouring,
    receiver,
    resetting,
    silent,
)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MIB = b"400\r\n" + bytes(1024) + b"\r\n"


async def failing(behaviour: Behaviour, **changes: Any) -> tuple[CallFailed, Receiver]:
    """What a call ended in; by then its connection is on its way out."""
    async with receiver(behaviour) as one, GuardedClient(policy(one.port)) as client:
        with pytest.raises(CallFailed) as raised:
            await call(client, one.url(), **changes)
        await one.until(lambda one: one.open == 0)
        return raised.value, one


@pytest.mark.parametrize(
    "behaviour",
    [
        silent,
        dripping(b"HTTP/1.1 200 ", b"O", every=0.02),
        dripping(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", every=0.02),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every=0.02),
        dripping(CHUNKED, b"1\r\n\n\r\n", every=0.02),
        dripping(HEAD + b"content-length: 50000\r\n\r\n", b"x", every=0.02),
    ],
    ids=["silent", "dripping a status", "dripping headers", "dripping 100s", "dripping chunks", "dripping a body"],
)
async def test_a_receiver_that_is_never_ready_does_not_stretch_the_deadline(behaviour: Behaviour) -> None:
    started = asyncio.get_running_loop().time()
    failure, _ = await failing(behaviour, within=0.3)
    assert type(failure) is TimedOut
    # Far from what it would take, and far enough for a machine that is busy.
    assert 0.25 < asyncio.get_running_loop().time() - started < 15


async def test_a_deadline_that_has_passed_fails_a_kept_connection_too() -> None:
    async with receiver(answering()) as one, GuardedClient(policy(one.port)) as client:
        await call(client, one.url())
        with pytest.raises(TimedOut):
            await call(client, one.url(), within=0)
        with pytest.raises(TimedOut):
            await call(client, one.url(), within=-1, namespace="other")


@pytest.mark.parametrize(
    "behaviour",
    [
        pouring(HEAD + b"content-length: 1073741824\r\n\r\n", bytes(65536)),
        pouring(HEAD + b"\r\n", bytes(65536)),
        pouring(CHUNKED, MIB),
        pouring(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"),
    ],
    ids=["1 GiB, announced", "until it closes", "small chunks", "large chunks"],
)
async def test_of_an_endless_answer_no_more_than_the_limit_is_read(behaviour: Behaviour) -> None:
    failure, _ = await failing(behaviour, max_body=10_000)
    assert isinstance(failure, BodyTooLarge)
    assert (failure.status, failure.limit) == (200, 10_000)


@pytest.mark.parametrize(
    "behaviour",
    [
        pouring(b"HTTP/1.1 200 OK\r\n", b"x-flood: " + b"a" * 100 + b"\r\n"),
        pouring(b"HTTP/1.1 200 OK\r\nx: ", b"a" * 1000),
        pouring(b"HTTP/1.1 200 ", b"O" * 1000),
        pouring(b"", b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\n"),
    ],
    ids=["many headers", "one header", "a reason", "heads of 1xx"],
)
async def test_a_flood_of_headers_is_cut_off(behaviour: Behaviour) -> None:
    failure, _ = await failing(behaviour)
    assert type(failure) is HeadersTooLarge


@pytest.mark.parametrize(
    "behaviour",
    [
        hanging_up,
        resetting,
        answering_and_closing(b""),
        answering_and_closing(b"HTTP/1.1 200 OK\r\n"),
        answering_and_closing(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nsecret"),
        answering_and_closing(CHUNKED + b"6\r\nsecret\r\n"),
        answering(b"SSH-2.0-secret\r\n"),
        answering(b"-ERR secret\r\n"),
    ],
)
async def test_an_answer_that_breaks_off_or_is_none_is_not_repeated(behaviour: Behaviour) -> None:
    failure, one = await failing(behaviour)
    assert type(failure) is BrokenAnswer
    assert len(one.requests) == 1
    assert "secret" not in f"{failure!r} {failure.__cause__!r} {failure.__context__!r}"


async def test_a_receiver_that_closes_its_half_after_the_whole_answer_has_answered() -> None:
    behaviour = answering_and_closing(b"HTTP/1.1 201 OK\r\n\r\ndone")
    async with receiver(behaviour) as one, GuardedClient(policy(one.port)) as client:
        for _ in range(2):
            answer = await call(client, one.url())
            assert (answer.status, answer.body) == (201, b"done")
        assert one.connections == 2


async def test_a_compressed_answer_is_never_inflated() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n".encode()
    async with receiver(answering(head + bomb)) as one, GuardedClient(policy(one.port)) as client:
        answer = await call(client, one.url(), max_body=100_000)
        assert answer.body == bomb
        assert b"accept-encoding: identity\r\n" in one.requests[0]


async def test_what_a_receiver_says_between_calls_is_no_answer_to_the_next() -> None:
    speaking = asyncio.Event()

    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one.request(reader)
        writer.write(OK)
        await speaking.wait()
        writer.write(b"HTTP/1.1 500 Poisoned\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async with receiver(behave) as one, GuardedClient(policy(one.port)) as client:
        assert (await call(client, one.url())).status == 200
        speaking.set()
        await one.until(lambda one: one.open == 0)
        assert (await call(client, one.url())).status == 200
        assert one.connections == 2


async def test_two_answers_to_one_call_end_the_connection() -> None:
    async with receiver(answering(OK + OK)) as one, GuardedClient(policy(one.port)) as client:
        for _ in range(2):
            assert (await call(client, one.url())).body == b'{"ok":true}'
        assert one.connections == 2


async def test_an_answer_before_the_request_was_read_counts_and_ends_the_connection() -> None:
    async def behave(one: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n")
        await one.stopping.wait()

    async with receiver(behave) as one, GuardedClient(policy(one.port)) as client:
        for _ in range(2):
            assert (await call(client, one.url(), body=bytes(20_000_000))).status == 413
        assert one.connections == 2


class Transport:
    """Keeps count of what a connection asks of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments: self.asked.append(name)

    def get_write_buffer_size(self) -> int:
        return 0


async def test_a_receiver_waits_while_the_caller_does() -> None:
    transport, reader = Transport(), AnswerReader(max_body=10_000_000)
    connection = Connection(cast(Any, None))
    connection.connection_made(cast(Any, transport))
    connection.send(b"", reader, deadline=asyncio.get_running_loop().time() + 20)
    connection.data_received(HEAD + b"content-length: 600000\r\n\r\n")
    for _ in range(4):
        connection.data_received(bytes(100_000))
    assert transport.asked == ["write", "pause_reading"]
    for _ in range(3):
        assert await connection.chunk()
    assert transport.asked == ["write", "pause_reading", "resume_reading"]
    connection.data_received(bytes(200_000))
    assert [len(await connection.chunk()) for _ in range(3)] == [100_000, 200_000, 0]
    assert connection.finish()
