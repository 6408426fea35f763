"""What retention does to tables, locks and plans."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.job import JobStatus
from dataqueue.domain.retention import Retention
from dataqueue.errors import NotFound
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres import pruning
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.storage.given import NAMESPACE, SECOND, claim, events_of, given_job, new_job
from tests.storage.plans import explaining, walk
from tests.storage.raw import connected
from tests.storage.test_postgres_migrations import PARTITIONS, names, where_events_are

DAY = timedelta(days=1)
KEPT = Retention(completed=DAY, failed=DAY, cancelled=DAY)


async def given_day(url: str, ago: int, *, events: int = 0) -> str:
    """A partition of a day long past, with events; its name."""
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - ago * DAY
    name = f"event_{start:%Y%m%d}"
    async with connected(url) as connection:
        await connection.execute(
            f"create table dataqueue.{name} partition of dataqueue.event"
            f" for values from ('{start.isoformat()}') to ('{(start + DAY).isoformat()}')"
        )
        for _ in range(events):
            await connection.execute(
                "insert into dataqueue.event (at, namespace_id, name) values ($1, 1, 'job:added')", start + 5 * SECOND
            )
    return name


async def partitions(url: str) -> list[str]:
    return await names(url, PARTITIONS)


async def test_whole_days_that_are_old_enough_are_dropped_and_said_to_be_as_many_events_as_they_had(
    live_storage: Storage, postgres_url: str
) -> None:
    job = await given_job(live_storage)
    before = await partitions(postgres_url)
    await given_day(postgres_url, 40, events=3)
    await given_day(postgres_url, 35)
    await given_day(postgres_url, 31, events=2)
    young = await given_day(postgres_url, 29, events=1)
    assert await live_storage.upkeep.prune_events(keep=30 * DAY) == 5
    assert await partitions(postgres_url) == sorted([*before, young])
    assert await live_storage.upkeep.prune_events(keep=30 * DAY) == 0
    assert len(await events_of(live_storage, job.id)) == 1


async def test_a_day_is_kept_until_its_last_moment_is_old_enough(
    storage: Storage, postgres_url: str, clock: ManualClock
) -> None:
    day = (await partitions(postgres_url))[0]
    end = datetime.strptime(day, "event_%Y%m%d").replace(tzinfo=UTC) + DAY
    clock.advance(end + 10 * DAY - clock.now() - timedelta(microseconds=1))
    await storage.upkeep.prune_events(keep=10 * DAY)
    assert day in await partitions(postgres_url)
    clock.advance(timedelta(microseconds=1))
    await storage.upkeep.prune_events(keep=10 * DAY)
    assert day not in await partitions(postgres_url)


async def test_somebody_who_reads_the_log_delays_the_drop_and_nobody_else(
    live_storage: Storage, postgres_url: str
) -> None:
    old = await given_day(postgres_url, 40, events=1)
    async with connected(postgres_url) as dump, dump.transaction(isolation="repeatable_read"):
        await dump.fetchval("select count(*) from dataqueue.event")
        pruning = asyncio.create_task(live_storage.upkeep.prune_events(keep=30 * DAY))
        slowest = 0.0
        while not pruning.done():
            began = time.monotonic()
            await asyncio.wait_for(given_job(live_storage), 2)
            slowest = max(slowest, time.monotonic() - began)
        assert pruning.result() == 0
        # They wait for 200 ms; the rest is for a busy machine.
        assert slowest < 1
    assert old in await partitions(postgres_url)
    assert await live_storage.upkeep.prune_events(keep=30 * DAY) == 1
    assert old not in await partitions(postgres_url)


async def test_whoever_holds_only_an_old_day_delays_its_drop_without_being_waited_for(
    live_storage: Storage, postgres_url: str
) -> None:
    old = await given_day(postgres_url, 40, events=1)
    async with connected(postgres_url) as reader, reader.transaction():
        await reader.execute(f"lock table dataqueue.{old} in access share mode")
        assert await live_storage.upkeep.prune_events(keep=30 * DAY) == 0
        await asyncio.wait_for(given_job(live_storage), 2)
    assert await live_storage.upkeep.prune_events(keep=30 * DAY) == 1


async def test_any_number_may_prune_and_prepare_the_log_while_jobs_are_enqueued(
    live_storage: Storage, postgres_url: str
) -> None:
    ahead = await partitions(postgres_url)
    for ago in (40, 41, 42):
        await given_day(postgres_url, ago, events=2)
    jobs, stop = live_storage.jobs(NAMESPACE), asyncio.Event()

    async def keep_enqueueing() -> int:
        count = 0
        while not stop.is_set():
            await jobs.enqueue([[new_job(job_type="mail")]])
            count += 1
        return count

    writing = asyncio.create_task(keep_enqueueing())
    pruned = 0
    while len(await partitions(postgres_url)) > len(ahead):
        found = await asyncio.gather(
            *(live_storage.upkeep.prune_events(keep=30 * DAY) for _ in range(4)),
            live_storage.upkeep.prepare_event_log(),
        )
        pruned += sum(filter(None, found))
    stop.set()
    written = await writing
    assert pruned == 6
    assert await partitions(postgres_url) == ahead
    assert sum((await where_events_are(postgres_url)).values()) == written


async def test_events_that_nobody_had_made_room_for_go_row_by_row(
    storage: Storage, postgres_url: str, clock: ManualClock
) -> None:
    for _ in range(3):
        await given_job(storage)
    assert await where_events_are(postgres_url) == {"event_default": 3}
    clock.advance(2 * DAY + SECOND)
    await given_job(storage)
    async with connected(postgres_url) as connection:
        for partition in (await partitions(postgres_url))[:-1]:
            await connection.execute(f"drop table dataqueue.{partition}")
    assert await storage.upkeep.prune_events(keep=2 * DAY) == 3
    assert await where_events_are(postgres_url) == {"event_default": 1}


async def test_jobs_that_are_kept_are_passed_by_the_index_from_the_oldest(
    storage: PostgresStorage, postgres_url: str, clock: ManualClock
) -> None:
    jobs = storage.jobs(NAMESPACE)
    old = [new_job(job_type="a") for _ in range(40)]
    await jobs.enqueue([old])
    await jobs.complete([job.lease for job in await claim(jobs, "a")], outputs=[None] * 40)
    clock.advance(DAY + SECOND)
    for _ in range(20):
        young = [new_job(job_type="b") for _ in range(100)]
        await jobs.enqueue([young])
        await jobs.complete([job.lease for job in await claim(jobs, "b")], outputs=[None] * 100)
    async with connected(postgres_url) as connection:
        await connection.execute("vacuum analyze dataqueue.job")
    async with explaining(storage.database, "upkeep/find_ended") as plans:
        assert (await storage.upkeep.prune(KEPT, limit=10)).count == 10
    [plan] = plans
    assert "job_by_status" in plan.indexes_used()
    assert plan.tables_read_whole() <= {"namespace"}
    # Ten index entries and ten rows, a descent for each status; not the two thousand that are younger.
    assert plan.buffers() < 60


@pytest.mark.parametrize(
    "table", ["type_count", "tag_count", "minute_count", "type_delta", "tag_delta", "minute_delta"]
)
async def test_nothing_is_left_in_the_tables_of_counts_of_what_is_gone(
    storage: Storage, postgres_url: str, clock: ManualClock, table: str
) -> None:
    for status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED):
        await given_job(storage, status=status, tags=("x",))
    await storage.upkeep.fold_counts(limit=1000)
    clock.advance(DAY + SECOND)
    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 3
    other = await given_job(storage, job_type="other", tags=("y",))
    await storage.upkeep.fold_counts(limit=1000)
    await storage.jobs(NAMESPACE).cancel([other.id])
    await storage.jobs(NAMESPACE).delete([other.id])
    await storage.upkeep.fold_counts(limit=1000)
    async with connected(postgres_url) as connection:
        rows = await connection.fetch(f"select * from dataqueue.{table}")
    if table == "minute_count":
        assert {row["minute"] for row in rows} == {clock.now().replace(second=0)}
    else:
        assert rows == []


@pytest.mark.parametrize("table", ["job", "job_spec", "job_result", "job_tag"])
async def test_nothing_is_left_of_a_job_that_was_pruned(
    storage: Storage, postgres_url: str, clock: ManualClock, table: str
) -> None:
    await given_job(storage, status=JobStatus.FAILED, tags=("x", "y"), idempotency_key="k")
    clock.advance(DAY + SECOND)
    assert (await storage.upkeep.prune(KEPT, limit=10)).count == 1
    async with connected(postgres_url) as connection:
        assert await connection.fetchval(f"select count(*) from dataqueue.{table}") == 0


@pytest.mark.parametrize("first", [1, 300])
async def test_counting_costs_a_batch_the_same_whatever_its_session_began_with(
    live_storage: PostgresStorage, postgres_url: str, first: int
) -> None:
    """A session plans the triggers' statements once: a plan that is good for one row only makes it quadratic."""
    async with connected(postgres_url) as connection:
        await connection.execute("load 'auto_explain'")
        await connection.execute("set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on")
        await connection.execute("set client_min_messages = log; set auto_explain.log_format = json")
        plans: list[str] = []
        connection.add_log_listener(lambda _, message: plans.append(message.message))
        for size in (first, 300):
            ids = [new_job(job_type="a", tags=("x",)) for _ in range(size)]
            await live_storage.jobs(NAMESPACE).enqueue([ids])
            await connection.execute(
                "update dataqueue.job set status = 'processing' where id = any($1::uuid[])", [job.id for job in ids]
            )
    counting = [json.loads(plan.partition("plan:\n")[2])["Plan"] for plan in plans if "_delta" in plan]
    assert len(counting) == 2 * 3
    for node in (node for plan in counting for node in walk(plan)):
        if node["Node Type"] == "Nested Loop":
            # For one row, only what is in that row.
            assert node["Plans"][1]["Node Type"] == "Function Scan"
        if node.get("Relation Name") == "job_spec":
            assert node.get("Index Name", node["Node Type"]) in {"job_spec_pkey", "Bitmap Heap Scan"}


async def test_who_asks_until_the_end_is_reached_gets_past_any_number_that_ended_lately(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a program does that begins anew every night. A round looks at so many that it may find none of those due."""
    monkeypatch.setattr(pruning, "_MOST_LOOKED_AT", 5)
    jobs = storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="late") for _ in range(30)]])
    clock.advance(SECOND)
    due = await given_job(storage, status=JobStatus.COMPLETED)
    clock.advance(2 * DAY)
    leases = [job.lease for job in await claim(jobs, "late")]
    await jobs.complete(leases, outputs=[None] * len(leases))
    rounds = [await storage.upkeep.prune(KEPT, limit=2)]
    while not rounds[-1].is_end:
        rounds.append(await storage.upkeep.prune(KEPT, limit=2))
    assert rounds[0].count == 0
    assert sum(pruned.count for pruned in rounds) == 1
    with pytest.raises(NotFound):
        await jobs.get(due.id)
