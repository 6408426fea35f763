"""Jobs added within a transaction of the caller's: `connection=` of the queue, asynchronous and not."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from dataqueue.domain.job import Job
from dataqueue.errors import AlreadyExists, Invalid, NotFound
from dataqueue.ids import new_id
from dataqueue.job_spec import JobSpec
from dataqueue.queue import Queue
from dataqueue.storage.port import Storage
from dataqueue.sync import SyncQueue
from tests.storage.callers import KINDS, conninfo_url
from tests.storage.given import eventually


@pytest.mark.parametrize("kind", ["asyncpg", "AsyncConnection", "AsyncSession", "psycopg AsyncConnection"])
async def test_a_processor_runs_it_soon_after_the_commit_and_never_after_a_rollback(
    kind: str, queue: Queue, postgres_url: str
) -> None:
    ran: list[Any] = []
    async with KINDS[kind](postgres_url) as caller:
        processor = queue.create_processor({"mail": ran.append}, poll_interval=30)
        processor.start_in_background()
        await queue.add_job("mail", "back", connection=caller.connection)
        await caller.rollback()
        await caller.begin()
        added = await queue.add_job("mail", "forth", connection=caller.connection)
        with pytest.raises(NotFound):
            await queue.get_job(added.id)
        await caller.commit()
        committed_at = asyncio.get_running_loop().time()
        await eventually("it has run", lambda: _if_there(ran))
        assert asyncio.get_running_loop().time() - committed_at < 1
        await processor.stop()
    assert ran == ["forth"]


async def _if_there(ran: list[Any]) -> bool | None:
    return True if ran else None


async def test_a_business_row_and_its_jobs_are_one_act(queue: Queue, postgres_url: str) -> None:
    engine = create_async_engine(postgres_url)
    jobs = [JobSpec("mail", number, tags=["bill"]) for number in range(1200)]
    async with AsyncSession(engine) as session:
        await session.execute(text("create table bill (id int primary key)"))
        await session.commit()
        await session.execute(text("insert into bill values (1)"))
        await queue.add_jobs(jobs, connection=session)
        await session.rollback()
        assert await queue.get_jobs_by_tags(["bill"]) == []
        await session.execute(text("insert into bill values (1)"))
        added = await queue.add_jobs(jobs, connection=session)
        await session.commit()
    assert [(await queue.get_job(added[index].id)).payload for index in (0, 1199)] == ["0", "1199"]
    await engine.dispose()


async def test_what_is_wrong_with_a_job_is_said_before_the_transaction_is_touched(
    queue: Queue, postgres_url: str
) -> None:
    async with KINDS["asyncpg"](postgres_url) as caller:
        with pytest.raises(Invalid) as refused:
            await queue.add_job("mail", priority=1 << 20, connection=caller.connection)
        assert "priority" in refused.value.loc
        assert (await queue.add_job("mail", connection=caller.connection)).created


async def test_of_many_jobs_the_one_whose_id_is_taken_is_named(queue: Queue, postgres_url: str) -> None:
    taken = await queue.add_job("mail", id=new_id())
    async with KINDS["psycopg AsyncConnection"](postgres_url) as caller:
        with pytest.raises(AlreadyExists) as refused:
            await queue.add_jobs([JobSpec("mail"), JobSpec("mail", id=taken.id)], connection=caller.connection)
    assert refused.value.index == 1


def test_a_program_without_an_event_loop_hands_over_its_own_connection(postgres_url: str) -> None:
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with SyncQueue(postgres_url) as queue, psycopg.connect(conninfo_url(postgres_url)) as connection:
        dropped = queue.add_job("mail", 1, connection=connection)
        connection.rollback()
        kept = queue.add_job("mail", 2, idempotency_key="k", connection=connection)
        connection.commit()
        with Session(engine) as session:
            again, other = queue.add_jobs([JobSpec("mail", idempotency_key="k"), JobSpec("fax")], connection=session)
            session.commit()
        with pytest.raises(NotFound):
            queue.get_job(dropped.id)
        found: Job = queue.get_job(kept.id)
        assert (found.job_type, found.payload) == ("mail", "2")
        assert (again.id, again.created) == (kept.id, False)
        assert queue.get_job(other.id).job_type == "fax"
        with pytest.raises(Invalid, match="Session or Connection of SQLAlchemy"):
            queue.add_job("mail", connection=object())
    engine.dispose()


async def test_an_sqlalchemy_session_in_run_sync_goes_through_the_synchronous_way(
    queue: Queue, live_storage: Storage, postgres_url: str
) -> None:
    engine = create_async_engine(postgres_url)
    async with AsyncSession(engine) as session, session.begin():
        [added] = await session.run_sync(lambda inner: queue.add_jobs_within([JobSpec("mail", 1)], inner))
    await engine.dispose()
    assert (await live_storage.jobs("default").get(added.id)).payload == "1"
