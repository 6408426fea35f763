"""Enqueueing in the transaction of a caller's own connection, whatever kind of connection it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from dataqueue.domain.job import Enqueued, JobStatus, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.errors import AlreadyExists, DataQueueError, IdempotencyInProgress, Invalid, NotFound
from dataqueue.storage.port import Hint, Storage
from tests.hearing import listening
from tests.storage.callers import KINDS, NAMES, Caller
from tests.storage.given import NAMESPACE, claim, new_job, told
from tests.storage.raw import connected

OF_EACH_DRIVER: Final = pytest.mark.parametrize(
    "caller", ["asyncpg", "AsyncSession", "Session", "psycopg AsyncConnection"], indirect=True
)
MARK: Final = Hint("ended", "nowhere")
TABLES: Final = """select format('%I.%I', schemaname, tablename) from pg_tables
    where schemaname = 'dataqueue' or tablename = 'business'"""
FULL: Final[dict[str, Any]] = {
    "job_type": "mail/welcome:1",
    "payload": Json('{"to": "żółć \\"漢字\\"", "n": [1.0, 12345678901234567890, null]}'),
    "priority": -7,
    "tags": ("b", 'a"\\,{}', "ż"),
    "idempotency_key": 'k "1"',
    "max_attempts": 5,
    "timeout_ms": 12_000,
    "retry": RetryPolicy(delay=1.5, backoff=False, delay_max=90.0),
    "dead_letter_job_type": "graveyard",
    "force_kill_on_timeout": True,
}


@pytest.fixture(params=NAMES)
async def caller(request: pytest.FixtureRequest, postgres_url: str) -> AsyncIterator[Caller]:
    """A caller of each kind, with a table of their own."""
    async with connected(postgres_url) as connection:
        await connection.execute("create table business (id int)")
    async with KINDS[request.param](postgres_url) as one:
        yield one


async def everything(url: str) -> dict[str, list[str]]:
    """Every row of ours and of the caller's."""
    async with connected(url) as connection:
        tables = [row[0] for row in await connection.fetch(TABLES)]
        return {
            table: sorted(row[0] for row in await connection.fetch(f"select one::text from {table} as one"))
            for table in tables
        }


async def test_a_job_is_there_when_the_caller_commits_and_not_before(
    caller: Caller, live_storage: Storage, postgres_url: str
) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job(**FULL)
    await caller.execute("insert into business values (1)")
    assert await caller.enqueue(jobs, job) == [Enqueued(job.id, JobStatus.PENDING, created=True)]
    with pytest.raises(NotFound):
        await jobs.get(job.id)
    await caller.commit()

    await live_storage.upkeep.stage(limit=10)  # admits what a synchronous call could not announce ahead
    found = await jobs.get(job.id)
    again = new_job(**{**FULL, "idempotency_key": "other"})
    await jobs.enqueue([[again]])
    as_usual = await jobs.get(again.id)
    own = {"id", "idempotency_key", "run_at", "created_at", "updated_at", "seq"}
    assert {name: getattr(found, name) for name in found.__slots__ if name not in own} == {
        name: getattr(as_usual, name) for name in as_usual.__slots__ if name not in own
    }
    assert found.run_at == found.created_at
    assert found.idempotency_key == FULL["idempotency_key"]
    assert await told(live_storage, job.id) == ["job:added"]
    assert (await everything(postgres_url))["public.business"] == ["(1)"]


async def test_a_rollback_leaves_nothing_at_all(caller: Caller, live_storage: Storage, postgres_url: str) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="mail/welcome:1", dead_letter_job_type="graveyard")]])
    before = await everything(postgres_url)
    await caller.execute("insert into business values (1)")
    await caller.enqueue(jobs, new_job(**FULL), new_job(job_type="mail/welcome:1"))
    await caller.rollback()
    assert await everything(postgres_url) == before


async def test_going_back_to_a_savepoint_takes_the_jobs_since_then(caller: Caller, live_storage: Storage) -> None:
    jobs, kept, dropped, later = live_storage.jobs(NAMESPACE), new_job(), new_job(), new_job()
    await caller.enqueue(jobs, kept)
    await caller.execute("savepoint here")
    await caller.enqueue(jobs, dropped)
    await caller.execute("rollback to savepoint here")
    await caller.enqueue(jobs, later)
    await caller.commit()
    assert (await jobs.get(kept.id)).seq < (await jobs.get(later.id)).seq
    with pytest.raises(NotFound):
        await jobs.get(dropped.id)


async def test_a_commit_wakes_whoever_listens_and_a_rollback_nobody(caller: Caller, live_storage: Storage) -> None:
    jobs, notifier, loop = live_storage.jobs(NAMESPACE), live_storage.notifier, asyncio.get_running_loop()
    await jobs.enqueue([[new_job(job_type="mail"), new_job(job_type="fax")]])
    async with notifier.listen() as hints:
        await listening(hints)
        await caller.enqueue(jobs, new_job(job_type="fax"))
        await caller.rollback()
        await caller.begin()
        await caller.enqueue(jobs, *(new_job(job_type="mail") for _ in range(3)))
        await notifier.publish(MARK)
        assert await asyncio.wait_for(anext(hints), 5) == MARK
        committed_at = loop.time()
        await caller.commit()
        assert await asyncio.wait_for(anext(hints), 5) == Hint("ready", NAMESPACE, ("mail",))
        assert loop.time() - committed_at < 1
        await notifier.publish(MARK)
        assert await asyncio.wait_for(anext(hints), 5) == MARK


@OF_EACH_DRIVER
async def test_a_repeat_is_answered_with_the_first_job_inside_the_transaction_and_after_it(
    caller: Caller, live_storage: Storage
) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    earlier, first, second = (new_job(idempotency_key=key) for key in ("old", "k", "k"))
    await jobs.enqueue([[earlier]])
    answers = await caller.enqueue(jobs, first, second, new_job(idempotency_key="old"))
    assert [(answer.id, answer.created) for answer in answers] == [
        (first.id, True),
        (first.id, False),
        (earlier.id, False),
    ]
    await caller.commit()
    [[afterwards]] = await jobs.enqueue([[new_job(idempotency_key="k")]])
    assert (afterwards.id, afterwards.created) == (first.id, False)


@OF_EACH_DRIVER
async def test_an_id_that_is_taken_is_named_and_the_transaction_has_failed(
    caller: Caller, live_storage: Storage
) -> None:
    jobs, taken = live_storage.jobs(NAMESPACE), new_job(id_is_callers=True)
    await jobs.enqueue([[taken]])
    with pytest.raises(AlreadyExists, match=str(taken.id)) as refused:
        await caller.enqueue(jobs, new_job(), taken)
    assert refused.value.index == 1
    with pytest.raises(Invalid, match="has failed already: roll it back"):
        await caller.enqueue(jobs, new_job())
    await caller.rollback()
    await caller.begin()
    assert [answer.created for answer in await caller.enqueue(jobs, new_job())] == [True]


@OF_EACH_DRIVER
async def test_a_key_that_another_transaction_holds_is_refused_within_a_second_or_so(
    caller: Caller, live_storage: Storage, postgres_url: str
) -> None:
    loop, jobs = asyncio.get_running_loop(), live_storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="mail")]])
    async with connected(postgres_url) as other, other.transaction():
        await other.execute("select dataqueue_enqueue('mail', idempotency_key => 'k')")
        asked_at = loop.time()
        with pytest.raises(IdempotencyInProgress):
            await caller.enqueue(jobs, new_job(job_type="mail", idempotency_key="k"))
        assert 0.5 < loop.time() - asked_at < 3


@OF_EACH_DRIVER
async def test_a_namespace_that_is_not_there_is_not_found(caller: Caller, live_storage: Storage) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await caller.enqueue(live_storage.jobs("nowhere"), new_job())


@OF_EACH_DRIVER
async def test_what_the_driver_says_of_the_callers_own_transaction_is_left_as_it_is(
    caller: Caller, live_storage: Storage
) -> None:
    await caller.execute("set transaction read only")
    with pytest.raises((asyncpg.ReadOnlySQLTransactionError, psycopg.errors.ReadOnlySqlTransaction, DBAPIError)):
        await caller.enqueue(live_storage.jobs(NAMESPACE), new_job())


@OF_EACH_DRIVER
async def test_a_snapshot_from_before_the_type_was_known_is_no_obstacle(caller: Caller, live_storage: Storage) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job(job_type="brand-new")
    await caller.execute("set transaction isolation level repeatable read")
    await caller.execute("select 1 from business")
    await caller.enqueue(jobs, job)
    await caller.commit()
    assert (await jobs.get(job.id)).job_type == "brand-new"
    await live_storage.upkeep.stage(limit=10)
    assert [claimed.id for claimed in await claim(jobs, "brand-new")] == [job.id]


@pytest.mark.parametrize("kind", ["asyncpg", "AsyncSession", "Session", "psycopg"])
async def test_many_jobs_keep_their_order(kind: str, live_storage: Storage, postgres_url: str) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="mail")]])
    await claim(jobs, "mail")
    wanted = [new_job(job_type="mail", payload=Json(str(number))) for number in range(2300)]
    async with KINDS[kind](postgres_url) as caller:
        answers = await caller.enqueue(jobs, *wanted)
        await caller.commit()
    assert [answer.id for answer in answers] == [job.id for job in wanted]
    assert all(answer.created for answer in answers)
    taken = [*await claim(jobs, "mail", limit=1000), *await claim(jobs, "mail", limit=1000)]
    assert [job.payload for job in taken] == [str(number) for number in range(2000)]


@pytest.mark.parametrize(("count", "size"), [(50, 200_000), (2300, 1)])
async def test_many_jobs_go_in_several_statements_of_one_transaction(
    count: int, size: int, live_storage: Storage, postgres_url: str
) -> None:
    jobs, payload = live_storage.jobs(NAMESPACE), Json(json.dumps("x" * size))
    wanted = [new_job(job_type="mail", payload=payload) for _ in range(count)]
    sent: list[int] = []
    async with KINDS["asyncpg"](postgres_url) as caller:
        caller.connection.add_query_logger(lambda record: sent.append(sum(map(len, record.args or ()))))
        answers = await caller.enqueue(jobs, *wanted)
        await caller.rollback()
        with pytest.raises(NotFound):
            await jobs.get(wanted[0].id)
    assert [answer.id for answer in answers] == [job.id for job in wanted]
    statements = [length for length in sent if length]
    assert len(statements) == 3
    assert max(statements) < 5_000_000


@pytest.mark.parametrize("kind", ["asyncpg", "AsyncSession", "Session in an async method"])
async def test_a_new_type_is_registered_ahead_so_that_its_job_needs_no_admission(
    kind: str, live_storage: Storage, postgres_url: str
) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job(dead_letter_job_type="graveyard")
    async with KINDS[kind](postgres_url) as caller:
        await caller.enqueue(jobs, job)
        await caller.commit()
    assert [claimed.id for claimed in await claim(jobs, job.job_type)] == [job.id]


@OF_EACH_DRIVER
async def test_a_connection_that_breaks_says_so_in_its_drivers_words(
    caller: Caller, live_storage: Storage, postgres_url: str
) -> None:
    await caller.execute("insert into business values (1)")
    async with connected(postgres_url) as other:
        await other.execute("""select pg_terminate_backend(pid) from pg_locks
            where relation = 'business'::regclass and pid <> pg_backend_pid()""")
    with pytest.raises(Exception, match=r"(?i)clos|terminat|lost|connection") as broken:
        await caller.enqueue(live_storage.jobs(NAMESPACE), new_job())
    assert not isinstance(broken.value, DataQueueError)


async def test_no_job_at_all_is_no_statement_at_all(live_storage: Storage, postgres_url: str) -> None:
    async with KINDS["asyncpg"](postgres_url) as caller:
        with pytest.raises(asyncpg.PostgresError):
            await caller.connection.execute("nonsense")  # from now on every statement would fail
        assert await caller.enqueue(live_storage.jobs(NAMESPACE)) == []


@pytest.mark.parametrize(
    "times",
    [
        {"run_at": datetime(2100, 1, 2, 3, 4, 5, 6, tzinfo=UTC)},
        {"delay": timedelta(days=36_500)},
        {"delay": timedelta(microseconds=1)},
        {"delay": timedelta(seconds=1, microseconds=3)},
    ],
    ids=str,
)
async def test_a_time_to_come_is_kept_to_the_microsecond(
    times: dict[str, Any], live_storage: Storage, postgres_url: str
) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job(**times)
    async with KINDS["asyncpg"](postgres_url) as caller:
        await caller.enqueue(jobs, job)
        await caller.commit()
    found = await jobs.get(job.id)
    assert found.run_at == times.get("run_at", found.created_at + times.get("delay", timedelta()))
    assert found.pending_reason == "scheduled"


@pytest.mark.parametrize("payload", ["null", "0", '""', "[]", '{"a":1.0,"b":1e2,"ü":"\\u00e9"}'])
async def test_a_payload_comes_back_as_it_went_in(payload: str, live_storage: Storage, postgres_url: str) -> None:
    jobs, job = live_storage.jobs(NAMESPACE), new_job(payload=Json(payload))
    async with KINDS["psycopg"](postgres_url) as caller:
        await caller.enqueue(jobs, job)
        await caller.commit()
    assert (await jobs.get(job.id)).payload == payload
