"""Edits, deletions and sweeps: what they read, whom they wait for, and what is counted of them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, Range
from dataqueue.domain.job import JobStatus, Json, Reported
from dataqueue.domain.lifecycle import Verb
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres import changes
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import NAMESPACE, given_claimed_job, given_job, new_job
from tests.storage.plans import explaining_each
from tests.storage.raw import connected
from tests.storage.test_filters import TAGS, a_filter, given_assorted_jobs, walked

BATCH: Final = 30
FEW: Final = 9_000
MANY: Final = 60_000
SMALL: Final = {"job_type", "tag_count"}
log = logging.getLogger(__name__)

# One second after another: of each five one pending, failed and cancelled, two completed; every third has tags.
FILL: Final = """
with made as (
    insert into dataqueue.job (id, namespace_id, job_type_id, status, run_at, ended_at, updated_at, created_at, tagged)
    select dataqueue.uuid7(), 1, t.id, s.status, s.at, case when s.status <> 'pending' then s.at end, s.at, s.at,
        n % 3 = 0
    from generate_series(1, $1) as n, dataqueue.job_type t, lateral (
        select (array['pending', 'failed', 'cancelled', 'completed', 'completed'])[n % 5 + 1] as status,
            now() - n * interval '1 second' as at) as s
    where t.name = case n % 2 when 0 then 'mail' else 'other' end
    returning id, job_type_id, seq, created_at, tagged, status
), resulted as (
    insert into dataqueue.job_result (id, failure_reason) select id, 'handler_error' from made where status = 'failed'
), specified as (
    insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, created_at, tags)
    select id, 1, job_type_id, seq, '{}', created_at, case when tagged then array['a', 'b'] end from made
)
insert into dataqueue.job_tag (namespace_id, tag, seq, job_id, created_at)
select 1, tag, seq, id, created_at from made, unnest(array['a', 'b']) as tag where tagged
"""
SWEEPS: Final[dict[str, tuple[Verb, JobFilter, JobEdit | None]]] = {
    "cancel": (Verb.CANCEL, JobFilter(), None),
    "cancel by type": (Verb.CANCEL, JobFilter(job_types=("mail",)), None),
    "cancel by tags": (Verb.CANCEL, JobFilter(tags=("a", "b")), None),
    "retry": (Verb.RETRY, JobFilter(), None),
    "retry by status and priority": (Verb.RETRY, JobFilter(statuses=(JobStatus.FAILED,), priority=0), None),
    "edit": (Verb.EDIT, JobFilter(), JobEdit(payload=Json("1"), timeout_ms=1)),
    "edit tags": (Verb.EDIT, JobFilter(tags=("a",)), JobEdit(tags=("b", "c"))),
    "delete": (Verb.DELETE, JobFilter(), None),
    "delete by tag": (Verb.DELETE, JobFilter(tags=("a",)), None),
}


async def given_jobs(storage: PostgresStorage, url: str, count: int) -> None:
    await storage.jobs(NAMESPACE).enqueue([[new_job(job_type=name) for name in ("mail", "other")]])
    async with connected(url) as connection:
        for table in ("job", "job_spec", "job_tag", "job_result", "event_default"):
            await connection.execute(f"alter table dataqueue.{table} set (autovacuum_enabled = false)")
        await connection.execute(FILL, count, timeout=60)
        await connection.execute("vacuum analyze")


async def buffers_of_sweeps(storage: PostgresStorage) -> tuple[dict[str, float], set[str]]:
    """Of the second batch of each sweep: buffers to find and lock, for each job looked at, and to change, for each job
    changed (how many of those looked at match differs); and what was read from end to end."""
    spent, whole = {}, set()
    sweep, since = storage.jobs(NAMESPACE).sweep, datetime.now(UTC)
    for name, (verb, matching, edit) in SWEEPS.items():
        there = replace(matching, created_at=Range(lt=since))
        since -= timedelta(seconds=FEW / len(SWEEPS))  # each has jobs that none has changed before it
        first = await sweep(verb, there, before=None, limit=BATCH, edit=edit)
        async with explaining_each(storage.database) as plans:
            batch = await sweep(verb, there, before=first.next, limit=BATCH, edit=edit)
        assert batch.changed > BATCH / 4, name
        whole |= {f"{name}: {table}" for plan in plans for table in plan.tables_read_whole() - SMALL}
        finding, *changing = [plan.buffers() for plan in plans]
        spent[f"{name}: finding"] = finding / BATCH
        spent[f"{name}: changing"] = sum(changing) / batch.changed
    return spent, whole


async def test_what_a_batch_reads_does_not_grow_with_what_is_there(live_storage: Storage, postgres_url: str) -> None:
    assert isinstance(live_storage, PostgresStorage)
    await given_jobs(live_storage, postgres_url, FEW)
    few, _ = await buffers_of_sweeps(live_storage)
    await given_jobs(live_storage, postgres_url, MANY)
    many, whole = await buffers_of_sweeps(live_storage)
    log.info("buffers for a job with few and with many jobs: %s, %s", few, many)
    # An index a level deeper, and jobs that may each lie on pages of their own. Reading it all would be 40 for each.
    assert {name: (few[name], many[name]) for name in few if many[name] > 1.6 * few[name] + 2} == {}
    assert whole == set()


async def test_a_sweep_comes_back_for_a_job_that_is_held_and_holds_up_nobody_meanwhile(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    working, held, free = (
        await given_claimed_job(live_storage),
        await given_job(live_storage),
        await given_job(live_storage),
    )
    async with connected(postgres_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select from dataqueue.job where id = $1 for update", held.id)
        sweeping = asyncio.create_task(jobs.sweep(Verb.CANCEL, JobFilter(), before=None, limit=10))
        # Whether or not the sweep has it at this moment.
        assert await jobs.complete([working.lease], outputs=[None]) == [Reported.OK]
        assert (await jobs.get(free.id)).status is JobStatus.PENDING
        await transaction.rollback()
    done = await sweeping
    assert done.changed == done.matched >= 2
    assert [(await jobs.get(job.id)).status for job in (held, free)] == [JobStatus.CANCELLED] * 2


async def test_a_retry_that_waited_for_a_failure_clears_its_reason(storage: Storage) -> None:
    assert isinstance(storage, PostgresStorage)
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    failure = {"messages": ["it broke"], "types": ["Error"], "reasons": ["handler_error"], "delays": [None]}
    lease = {"ids": [held.id], "invocations": [held.invocation]}
    async with storage.database.transaction() as failing:
        await storage.database.run_on(failing, "jobs/fail", **failure, **lease, namespace_id=1)
        retrying = asyncio.create_task(jobs.retry([held.id]))
        done, _ = await asyncio.wait({retrying}, timeout=0.2)
        assert not done
    await retrying
    retried = await jobs.get(held.id)
    assert (retried.status, retried.failure_reason) == (JobStatus.PENDING, None)


async def test_a_sweep_comes_back_while_somebody_holds_the_log_that_it_writes_to(
    storage: Storage, postgres_url: str
) -> None:
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage)
    async with connected(postgres_url) as other:
        held = other.transaction()
        await held.start()
        # As long as a day of events is being prepared.
        await other.execute("lock table dataqueue.event in share row exclusive mode")
        sweeping = asyncio.create_task(jobs.sweep(Verb.CANCEL, JobFilter(), before=None, limit=BATCH))
        done, _ = await asyncio.wait({sweeping}, timeout=0.6)
        assert not done
        await held.rollback()
    assert (await sweeping).changed == 1
    assert (await jobs.get(job.id)).status is JobStatus.CANCELLED


async def test_a_sweep_gives_up_on_a_job_that_is_held_too_long_and_leaves_the_batch_as_it_was(
    live_storage: Storage, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_GIVE_UP", 0.0)
    jobs = live_storage.jobs(NAMESPACE)
    held, free = await given_job(live_storage), await given_job(live_storage)
    async with connected(postgres_url) as connection, connection.transaction():
        await connection.execute("select from dataqueue.job where id = $1 for update", held.id)
        with pytest.raises(StorageUnavailable) as refusal:
            await jobs.sweep(Verb.CANCEL, JobFilter(), before=None, limit=10)
    assert not refusal.value.outcome_unknown
    assert [await jobs.get(job.id) for job in (held, free)] == [held, free]


async def counted(connection: Any, table: str, key: str) -> dict[tuple[Any, str], int]:
    """What the notes of changes add up to; nobody has folded any."""
    rows = await connection.fetch(f"select {key} as key, status, sum(n) as n from dataqueue.{table} group by 1, 2")
    return {(row["key"], row["status"]): int(row["n"]) for row in rows if row["n"]}


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_counted_is_what_is_there_whatever_was_changed(
    storage: Storage, clock: ManualClock, postgres_url: str, seed: int
) -> None:
    draw = random.Random(seed)
    await given_assorted_jobs(storage, clock, draw, 40)
    jobs = storage.jobs(NAMESPACE)
    for _ in range(20):
        there = await walked(storage, JobFilter(), limit=1000)
        if not there:
            break
        edit = JobEdit(tags=tuple(draw.sample(TAGS, draw.choice([0, 1, 2, 3]))))
        verb = draw.choice([Verb.CANCEL, Verb.RETRY, Verb.EDIT, Verb.EDIT, Verb.EDIT, Verb.DELETE])
        given = edit if verb is Verb.EDIT else None
        await jobs.sweep(verb, a_filter(draw, there), before=None, limit=draw.choice([1, 5, 50]), edit=given)
        await jobs.edit([job.id for job in draw.sample(there, 1) * 2], edit)
        await jobs.delete([job.id for job in there[:2]])
    there = await walked(storage, JobFilter(), limit=1000)
    async with connected(postgres_url) as connection:
        names = {row["id"]: row["name"] for row in await connection.fetch("select id, name from dataqueue.job_type")}
        by_type = await counted(connection, "type_delta", "job_type_id")
        by_tag = await counted(connection, "tag_delta", "tag")
        kept = await connection.fetch("select tag, count(*) from dataqueue.job_tag group by tag")
        stray = await connection.fetchval(
            "select count(*) from dataqueue.job j full join dataqueue.job_spec s using (id)"
            " where j.id is null or s.id is null or j.tagged <> (s.tags is not null)"
        )
    assert {(names[key], status): n for (key, status), n in by_type.items()} == Counter(
        (job.job_type, job.status.value) for job in there
    )
    assert by_tag == Counter((tag, job.status.value) for job in there for tag in job.tags)
    assert dict(kept) == Counter(tag for job in there for tag in job.tags)
    assert stray == 0
