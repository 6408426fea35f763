"""Connections that a job cannot be enqueued on, and those that only look as if it could not."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from dataqueue.domain.job import Json
from dataqueue.errors import Invalid, NotFound, StorageNotReady
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.storage.callers import KINDS, conninfo_url
from tests.storage.given import NAMESPACE, claim, events_of, new_job


async def test_a_connection_of_another_kind_is_refused_with_the_kinds_there_are(live_storage: Storage) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    for wrong in (None, "postgresql://", object(), create_engine("postgresql+psycopg://")):
        with pytest.raises(Invalid, match=r"AsyncSession.*asyncpg.*Session.*psycopg 3"):
            await jobs.enqueue_within(wrong, [new_job()])
        with pytest.raises(Invalid, match=r"connection is a .*Session or Connection of SQLAlchemy"):
            jobs.enqueue_within_sync(wrong, [new_job()])


@pytest.mark.parametrize("kind", ["asyncpg", "AsyncSession", "AsyncConnection", "psycopg AsyncConnection"])
async def test_an_asynchronous_connection_is_refused_by_the_synchronous_method(
    kind: str, live_storage: Storage, postgres_url: str
) -> None:
    async with KINDS[kind](postgres_url) as caller:
        with pytest.raises(Invalid, match="give a Session or Connection of SQLAlchemy"):
            live_storage.jobs(NAMESPACE).enqueue_within_sync(caller.connection, [new_job()])


async def test_a_connection_in_no_transaction_is_refused_and_stores_nothing(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job()
    refused = pytest.raises(Invalid, match="in no transaction")
    alone = await asyncpg.connect(conninfo_url(postgres_url))
    with refused:
        await jobs.enqueue_within(alone, [job])
    await alone.close()
    async with await psycopg.AsyncConnection.connect(conninfo_url(postgres_url), autocommit=True) as own:
        with refused:
            await jobs.enqueue_within(own, [job])
        async with own.transaction():
            await jobs.enqueue_within(own, [new_job()])
    with psycopg.connect(conninfo_url(postgres_url), autocommit=True) as plain, refused:
        jobs.enqueue_within_sync(plain, [job])
    url, auto = make_url(postgres_url), {"isolation_level": "AUTOCOMMIT"}
    for driver in ("postgresql+asyncpg", "postgresql+psycopg"):
        engine = create_async_engine(url.set(drivername=driver), poolclass=NullPool, execution_options=auto)
        async with engine.connect() as connection:
            with refused:
                await jobs.enqueue_within(connection, [job])
    options = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, **auto)
    with options.connect() as connection, refused:
        jobs.enqueue_within_sync(connection, [job])
    with pytest.raises(NotFound):
        await jobs.get(job.id)


async def test_what_a_connection_was_taught_of_rows_and_json_does_not_matter(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job(payload=Json('{"a":1}'))
    taught: psycopg.Connection[Any] = psycopg.connect(
        conninfo_url(postgres_url), row_factory=dict_row, cursor_factory=psycopg.RawCursor
    )
    with taught:
        assert jobs.enqueue_within_sync(taught, [job])[0].created
    other = await asyncpg.connect(conninfo_url(postgres_url))
    await other.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    async with other.transaction():
        second = new_job(payload=Json('{"a":1}'))
        assert (await jobs.enqueue_within(other, [second]))[0].id == second.id
    await other.close()
    assert {(await jobs.get(one.id)).payload for one in (job, second)} == {'{"a":1}'}


async def test_a_role_that_may_not_enqueue_is_told_what_to_grant(live_storage: Storage, postgres_url: str) -> None:
    async with KINDS["psycopg"](postgres_url) as caller:
        await caller.execute("create role stranger")
        await caller.execute("set local role stranger")
        with pytest.raises(StorageNotReady, match="grant dataqueue_enqueuer"):
            await caller.enqueue(live_storage.jobs(NAMESPACE), new_job())


async def test_a_database_without_our_tables_is_told_to_migrate(live_storage: Storage, postgres_url: str) -> None:
    elsewhere = make_url(postgres_url).set(database="postgres").render_as_string()
    for kind in ("psycopg", "AsyncSession"):
        async with KINDS[kind](elsewhere) as caller:
            with pytest.raises(StorageNotReady, match="`dataqueue migrate`"):
                await caller.enqueue(live_storage.jobs(NAMESPACE), new_job())


async def test_the_callers_connection_is_enough_when_the_queues_own_are_gone(
    live_storage: Storage, postgres_url: str
) -> None:
    gone = open_storage("postgresql://queue@/nothing?host=/nowhere")
    job = new_job(job_type="mail", dead_letter_job_type="graveyard")
    async with KINDS["AsyncSession"](postgres_url) as caller:
        await caller.enqueue(gone.jobs(NAMESPACE), job)
        await caller.commit()
    await gone.close()
    await live_storage.upkeep.stage(limit=10)
    assert [claimed.id for claimed in await claim(live_storage.jobs(NAMESPACE), "mail")] == [job.id]
    assert [event.job_type for event in await events_of(live_storage, job.id)] == ["mail"] * 2
