"""Streams of events through real processes: nothing is missed, nothing comes twice, and nobody holds up the end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import JobStatus
from dataqueue.storage.backend import Backend
from tests.acceptance.event_readers import Block, Reader, blocks_of
from tests.acceptance.looking import NAMESPACE, log_of, looking
from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker
from tests.api.support import eventually
from tests.storage.raw import connected

WRITERS: Final = 12
READERS: Final = 20
RESUMES: Final = 200
LIVES: Final = 5
UNENDED: Final = JobFilter(statuses=tuple(status for status in JobStatus if not status.is_terminal))
STREAMS: Final = 100
MANY: Final = 40


async def enqueue_in_batches(url: str, chance: random.Random, over: asyncio.Event) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while not over.is_set():
            jobs = [{"job_type": "fine", "tags": ["batch"]}] * chance.randint(1, 8)
            answer = await http.post("/v1/jobs/batch", json={"jobs": jobs})
            assert answer.status_code == 201, answer.text
            await asyncio.sleep(chance.uniform(0, 0.2))


async def enqueue_in_transactions(database: str, chance: random.Random, over: asyncio.Event) -> None:
    """Held open for a random time, one in five rolled back."""
    async with connected(database) as connection:
        while not over.is_set():
            transaction = connection.transaction()
            await transaction.start()
            for _ in range(chance.randint(1, 4)):
                await connection.execute("select dataqueue_enqueue('fine')")
                await asyncio.sleep(chance.uniform(0, 0.15))
            await (transaction.rollback() if chance.random() < 0.2 else transaction.commit())


async def kill_now_and_then(worker: Worker, database: str) -> None:
    """Its process, as often as the log has grown by so much and it has begun again."""
    async with looking(database) as storage:
        log = storage.events(NAMESPACE)
        for life in range(1, LIVES):
            await asyncio.to_thread(worker.until_ready, lives=life)
            before = (await log.bounds()).newest

            async def has_grown(then: int = before) -> bool:
                return (await log.bounds()).newest > then + 100

            await eventually("the log has grown", has_grown, seconds=30)
            os.kill(await asyncio.to_thread(lambda: worker.child), signal.SIGKILL)


async def the_last(database: str) -> int:
    """The last event there will be: every job has come to its end."""
    async with looking(database) as storage:

        async def all_ended() -> bool:
            return not (await storage.jobs(NAMESPACE).page(UNENDED, before=None, limit=1)).jobs

        await eventually("every job has ended", all_ended, seconds=60)
        return (await log_of(storage))[-1].id


async def test_what_readers_see_who_come_and_go_is_the_log(
    backend: Backend, database: str, notes: Notes, place: Path
) -> None:
    """12 writers, transactions held open where there are any, a worker killed, 20 readers who come and go."""
    with ExitStack() as stack:
        apis = [stack.enter_context(Api(database, log=place / f"stream-{number}.log")) for number in range(2)]
        worker = stack.enter_context(Worker(database, notes, name="streamed", max_crashes=20))
        for api in apis:
            await asyncio.to_thread(api.until_ready)
        await asyncio.to_thread(worker.until_ready)
        urls = [api.url for api in apis]
        end: list[int] = []
        readers = [Reader(urls, chance=random.Random(number)) for number in range(READERS)]
        reading = [asyncio.create_task(reader.read(lambda: end[0] if end else None)) for reader in readers]
        over = asyncio.Event()
        writing = [
            asyncio.create_task(
                enqueue_in_batches(urls[number % 4 // 2], random.Random(number), over)
                if number % 2 or backend is Backend.REDIS
                else enqueue_in_transactions(database, random.Random(number), over)
            )
            for number in range(WRITERS)
        ]
        await kill_now_and_then(worker, database)
        await eventually("they came and went", lambda: sum(reader.resumes for reader in readers) >= RESUMES, seconds=30)
        over.set()
        await asyncio.gather(*writing)
        async with asyncio.timeout(60):
            end.append(await the_last(database))
            await asyncio.gather(*reading)
        async with looking(database) as storage:
            log = [(event.id, str(event.job_id), event.event) for event in await log_of(storage)]

    assert len(log) > 500
    for reader in readers:
        assert reader.seen == log
    of_job: defaultdict[str, list[str]] = defaultdict(list)
    for _, job_id, name in log:
        of_job[job_id].append(name)
    assert all((names[0], names[-1]) == ("job:added", "job:completed") for names in of_job.values())


@asynccontextmanager
async def streaming(url: str, query: str = "") -> AsyncIterator[AsyncIterator[Block]]:
    """The blocks of an open stream, the first one taken."""
    async with (
        httpx.AsyncClient(timeout=30, limits=httpx.Limits()) as http,
        http.stream("GET", f"{url}/v1/events{query}") as answer,
    ):
        assert answer.status_code == 200
        blocks = blocks_of(answer.aiter_lines())
        assert (await anext(blocks)).comments == ["connected"]
        yield blocks


async def test_a_service_with_a_hundred_open_streams_stops_when_it_is_told_to(database: str, place: Path) -> None:
    with Api(database, log=place / "stopped.log") as api:
        await asyncio.to_thread(api.until_ready)
        opened, told = asyncio.Semaphore(0), list[Block]()

        async def follow() -> None:
            async with streaming(api.url) as blocks:
                opened.release()
                told.append([block async for block in blocks][-1])

        following = [asyncio.create_task(follow()) for _ in range(STREAMS)]
        for _ in following:
            await opened.acquire()
        began = time.monotonic()
        assert await asyncio.to_thread(api.stop) == 0
        assert time.monotonic() - began < 10
        await asyncio.gather(*following)
        hints = [block.retry for block in told]
        assert all(500 <= (hint or 0) <= 3000 for hint in hints)
        # All come back, and not all at once.
        assert len(set(hints)) > STREAMS / 4
        assert "Traceback" not in api.said


async def test_a_reader_that_does_not_read_is_cut_off_and_resumes_and_nobody_else_notices(
    database: str, place: Path
) -> None:
    with Api(database, log=place / "slow.log") as api:
        await asyncio.to_thread(api.until_ready)
        slow = silent_reader(api.url)
        async with streaming(api.url, "?job_type=flood&event=job:added") as blocks:
            sent = list[str]()
            for _ in range(MANY):
                batch = await asyncio.to_thread(api.enqueue_all, [{"job_type": "flood", "tags": ["x" * 100]}] * 1000)
                sent += batch
                for job_id in batch:
                    assert (await anext(blocks)).said["job_id"] == job_id
            await asyncio.to_thread(lambda: until(lambda: api.logged("stream.cut_off"), "the slow one cut off"))
        place_of_slow, seen = what_came_before_the_end(slow)
        resumed = Reader([api.url], chance=random.Random(1))
        resumed._place = str(place_of_slow)
        async with looking(database) as storage:
            last = (await log_of(storage))[-1].id
        async with asyncio.timeout(60):
            await resumed.read(lambda: last)
        flood = set(sent)
        assert [job_id for _, job_id, _ in [*seen, *resumed.seen] if job_id in flood] == sent


def silent_reader(url: str) -> socket.socket:
    """A connection that has asked for the stream, with little room for what comes."""
    parts = urlsplit(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname, parts.port))
    connection.sendall(b"GET /v1/events HTTP/1.1\r\nhost: queue\r\n\r\n")
    connection.settimeout(30)
    return connection


def what_came_before_the_end(connection: socket.socket) -> tuple[int, list[tuple[int, str, str]]]:
    """The last position, and the events, in what a connection that was cut off had been sent."""
    raw = bytearray()
    with connection:
        while chunk := received(connection):
            raw += chunk
    _, _, body = bytes(raw).partition(b"\r\n\r\n")
    lines = without_chunks(body).decode(errors="ignore").split("\n")

    async def parsed() -> list[Block]:
        async def each() -> AsyncIterator[str]:
            for line in lines:
                yield line

        return [block async for block in blocks_of(each())]

    blocks = [block for block in run(parsed()) if block.id is not None]
    events = [(int(block.id or 0), block.said["job_id"], block.event or "") for block in blocks if block.data]
    return int(blocks[-1].id or 0), events


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def without_chunks(body: bytes) -> bytes:
    """The bytes that a chunked body carries, as far as they came."""
    found, rest = bytearray(), body
    while (head := rest.partition(b"\r\n"))[1]:
        size = int(head[0], 16)
        found += head[2][:size]
        rest = head[2][size + 2 :]
        if not size:
            break
    return bytes(found)


def run(work: Any) -> Any:
    """Drive a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")
