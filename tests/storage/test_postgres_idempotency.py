"""Keys that another transaction holds and has not committed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from dataqueue.domain.job import JobStatus
from dataqueue.enqueuing import Enqueuer
from dataqueue.errors import IdempotencyInProgress
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import NAMESPACE, eventually, given_job, new_job
from tests.storage.raw import connected

HOLD_KEY: Final = """insert into dataqueue.job_spec
    (id, namespace_id, job_type_id, seq, payload, idempotency_key, created_at)
    select $1, namespace_id, job_type_id, nextval('dataqueue.job_seq'), '{}', $2, now()
    from dataqueue.job_spec limit 1"""
HOLD_JOB: Final = """insert into dataqueue.job (id, namespace_id, job_type_id, run_at, updated_at, created_at)
    select $1, namespace_id, job_type_id, now(), now(), now() from dataqueue.job limit 1"""


async def _is_waiting(connection: Any) -> bool | None:
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return True if await connection.fetchval(waiting) else None


async def test_a_key_that_an_open_transaction_holds_is_refused_within_a_second(
    live_storage: Storage, postgres_url: str
) -> None:
    loop, jobs = asyncio.get_running_loop(), live_storage.jobs(NAMESPACE)
    await given_job(live_storage, job_type="mail")
    async with connected(postgres_url) as other:
        held = other.transaction()
        await held.start()
        await other.execute(HOLD_KEY, new_id(), "k")
        asked_at = loop.time()
        with pytest.raises(IdempotencyInProgress):
            await jobs.enqueue([[new_job(job_type="mail", idempotency_key="k"), new_job(idempotency_key="l")]])
        assert 0.5 < loop.time() - asked_at < 3
        await held.rollback()
    [[freed, other_key]] = await jobs.enqueue([[new_job(idempotency_key="k"), new_job(idempotency_key="l")]])
    assert (freed.created, other_key.created) == (True, True)


async def test_however_many_keys_an_open_transaction_holds_a_shared_write_waits_about_a_second(
    live_storage: Storage, postgres_url: str
) -> None:
    loop, jobs = asyncio.get_running_loop(), live_storage.jobs(NAMESPACE)
    await given_job(live_storage, job_type="mail")
    async with connected(postgres_url) as other:
        held = other.transaction()
        await held.start()
        for n in range(8):
            await other.execute(HOLD_KEY, new_id(), f"held {n}")
        keys = [*(f"held {n}" for n in range(8)), "free"]
        asked_at = loop.time()
        *refused, answer = await Enqueuer(jobs, announce=lambda _: None).write(
            [[new_job(job_type="mail", idempotency_key=key)] for key in keys]
        )
        assert loop.time() - asked_at < 5
        await held.rollback()
    assert all(isinstance(error, IdempotencyInProgress) for error in refused)
    assert isinstance(answer, list)


async def test_an_open_transaction_on_a_key_delays_no_enqueue_without_one(
    live_storage: Storage, postgres_url: str
) -> None:
    await given_job(live_storage, job_type="mail")
    async with connected(postgres_url) as other, other.transaction():
        await other.execute(HOLD_KEY, new_id(), "k")
        await asyncio.wait_for(live_storage.jobs(NAMESPACE).enqueue([[new_job(job_type="mail")]]), 0.9)
        await asyncio.wait_for(live_storage.jobs(NAMESPACE).enqueue([[new_job(idempotency_key="l")]]), 0.9)


@pytest.mark.parametrize("commits", [True, False])
async def test_a_waiting_enqueue_goes_by_what_became_of_the_transaction_it_waited_for(
    live_storage: Storage, postgres_url: str, commits: bool
) -> None:
    jobs, theirs = live_storage.jobs(NAMESPACE), new_id()
    await given_job(live_storage, job_type="mail")
    async with connected(postgres_url) as other, connected(postgres_url) as watcher:
        held = other.transaction()
        await held.start()
        await other.execute(HOLD_KEY, theirs, "k")
        await other.execute(HOLD_JOB, theirs)
        ours = new_job(idempotency_key="k")
        asked = asyncio.create_task(jobs.enqueue([[ours]]))
        await eventually("the enqueue waits", lambda: _is_waiting(watcher))
        await (held.commit() if commits else held.rollback())
        [[answer]] = await asked
    assert (answer.id, answer.created) == ((theirs, False) if commits else (ours.id, True))
    assert answer.status is JobStatus.PENDING


async def test_the_limit_of_that_wait_does_not_stay_with_the_connection(live_storage: Storage) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await live_storage.jobs(NAMESPACE).enqueue([[new_job(idempotency_key="k")]])
    async with live_storage.database.transaction() as connection:
        assert await connection.fetchval("show lock_timeout") == "0"
