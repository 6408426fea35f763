"""The frontier of the log in PostgreSQL: who holds it back, and who does not."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

import pytest

from dataqueue.domain.events import EventName
from dataqueue.domain.job import JobStatus
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import NAMESPACE, given_job
from tests.storage.plans import explaining_each
from tests.storage.raw import connected
from tests.storage.test_event_tail import HERE, given_tail, settled, summary

WRITERS: Final = 12
ROUNDS: Final = 15
MANY: Final = """insert into dataqueue.event (at, namespace_id, job_type_id, name)
    select now(), 1, id, 'job:completed' from dataqueue.job_type, generate_series(1, 50000) where name = 'one'"""


async def test_an_open_transaction_that_has_written_holds_back_what_came_after_it_and_loses_nothing(
    live_storage: Storage, postgres_url: str
) -> None:
    await given_job(live_storage, job_type="theirs")
    tail = await given_tail(live_storage)
    async with connected(postgres_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select dataqueue_enqueue('theirs')")
        await given_job(live_storage, job_type="ours")
        for _ in range(20):
            look = await tail.look(HERE, limit=100)
            assert (look.events, look.waits) == ([], True)
        await transaction.commit()
    assert summary((await settled(tail)).events) == [("theirs", EventName.ADDED), ("ours", EventName.ADDED)]


async def test_one_that_is_rolled_back_leaves_a_gap_that_nobody_waits_for(
    live_storage: Storage, postgres_url: str
) -> None:
    await given_job(live_storage, job_type="theirs")
    tail = await given_tail(live_storage)
    async with connected(postgres_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select dataqueue_enqueue('theirs')")
        await given_job(live_storage, job_type="ours")
        await transaction.rollback()
    assert summary((await settled(tail)).events) == [("ours", EventName.ADDED)]


async def test_a_transaction_that_only_reads_holds_back_nothing(live_storage: Storage, postgres_url: str) -> None:
    tail = await given_tail(live_storage)
    async with connected(postgres_url) as dump, dump.transaction(isolation="repeatable_read"):
        await dump.fetchval("select count(*) from dataqueue.event")
        await given_job(live_storage, job_type="ours")
        assert summary((await settled(tail)).events) == [("ours", EventName.ADDED)]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_writers_do_at_the_same_time_nothing_is_missed_doubled_or_out_of_order(
    live_storage: Storage, postgres_url: str, seed: int
) -> None:
    """Jobs that are written in transactions held open for a moment, some rolled back, beside jobs led to their ends."""
    chance = random.Random(seed)
    await given_job(live_storage, job_type="theirs")
    tail = await given_tail(live_storage)

    async def hold(connection: Any) -> None:
        for _ in range(ROUNDS):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("select dataqueue_enqueue('theirs') from generate_series(1, 3)")
            await asyncio.sleep(chance.uniform(0, 0.02))
            await (transaction.rollback() if chance.random() < 0.2 else transaction.commit())

    async def live() -> None:
        for _ in range(ROUNDS):
            await given_job(live_storage, status=JobStatus.COMPLETED)

    async def write(number: int) -> None:
        if number % 2:
            await live()
        else:
            async with connected(postgres_url) as connection:
                await hold(connection)

    writing = asyncio.gather(*(write(number) for number in range(WRITERS)))
    told = []
    while not writing.done():
        told += (await tail.look(HERE, limit=50)).events
    await writing
    while (look := await tail.look(HERE, limit=50)).events or look.waits or look.more:
        told += look.events
    async with connected(postgres_url) as connection:
        log = [row["id"] for row in await connection.fetch("select id from dataqueue.event order by id")]
    assert [event.id for event in told] == log[1:]


async def test_a_log_that_goes_back_is_followed_back(live_storage: Storage, postgres_url: str) -> None:
    """As after a failover to a server that had not heard of the latest."""
    tail = await given_tail(live_storage)
    await given_job(live_storage)
    before = (await settled(tail)).frontiers[NAMESPACE]
    async with connected(postgres_url) as connection:
        await connection.execute("delete from dataqueue.event")
        await connection.execute("alter sequence dataqueue.event_id_seq restart")
    await given_job(live_storage, job_type="first")
    look = await settled(tail)
    assert look.frontiers[NAMESPACE] <= before
    await given_job(live_storage, job_type="next")
    assert summary((await settled(tail)).events)[-1] == ("next", EventName.ADDED)


async def test_a_look_reads_the_stretch_it_tells_of_and_no_more(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    spent = []
    for _ in range(2):
        tail = await given_tail(live_storage)
        await given_job(live_storage, job_type="one", status=JobStatus.COMPLETED)
        async with explaining_each(live_storage.database) as plans:
            assert len((await settled(tail)).events) == 3
        spent.append(plans[-1].buffers())
        async with connected(postgres_url) as connection:
            await connection.execute(MANY)
    few, many = spent
    # The index of today's events has grown by two levels.
    assert many <= few + 4, spent
