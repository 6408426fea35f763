"""Jobs that came with a type nobody had used before: how they look until they are admitted, and that they are once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Failure, JobStatus
from dataqueue.domain.tokens import NewToken
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.storage.opening import migrate, open_storage
from dataqueue.storage.port import Hint, Storage
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.statements import Statement
from dataqueue.storage.postgres.storage import PostgresStorage
from tests.hearing import listening
from tests.storage.given import HOUR, NAMESPACE, claim, events_of, eventually, new_job, told
from tests.storage.plans import explaining
from tests.storage.raw import connected

TYPES = "select array_agg(name order by name) from dataqueue.job_type where namespace_id <> 0"
COUNTED = """select t.name, d.status, sum(n) as n
    from dataqueue.type_delta d join dataqueue.job_type t on t.id = d.job_type_id
    group by 1, 2 having sum(n) <> 0 order by 1, 2"""


@pytest.fixture
async def psql(postgres_url: str) -> AsyncIterator[Any]:
    async with connected(postgres_url) as connection:
        yield connection


async def arrived(psql: Any, *types: str, more: str = "") -> list[UUID]:
    """Jobs that were committed with types that nobody knows."""
    return [await psql.fetchval(f"select id from dataqueue_enqueue($1{more})", job_type) for job_type in types]


async def test_until_it_is_admitted_a_job_has_its_type_to_the_eye_and_is_nobodys_to_claim(
    live_storage: Storage, psql: Any
) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    [now], [later] = await arrived(psql, "new"), await arrived(psql, "new", more=", delay => '1 hour'")
    assert await psql.fetchval(TYPES) is None
    for id, reason in ((now, None), (later, "scheduled")):
        job = await jobs.get(id)
        assert (job.job_type, job.status, job.pending_reason) == ("new", JobStatus.PENDING, reason)
        assert await events_of(live_storage, id) == []
    page = await jobs.page(JobFilter(), before=None, limit=10)
    assert [(job.id, job.job_type) for job in page.jobs] == [(later, "new"), (now, "new")]
    assert await claim(jobs, "new", "") == []
    stats = await live_storage.tally(NAMESPACE).stats()
    assert (stats.by_status[JobStatus.PENDING], stats.by_type, stats.oldest_ready_age) == (2, {}, None)
    assert await live_storage.job_types(NAMESPACE).page(after=None, limit=10) == []


async def test_once_admitted_it_is_as_if_it_had_never_been_otherwise(live_storage: Storage, psql: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    first, second, other = await arrived(psql, "new", "new", "other", more=", tags => '{a}'")
    before = {id: await jobs.get(id) for id in (first, second, other)}
    staged = await live_storage.upkeep.stage(limit=10)
    assert staged.count == 3
    assert {id: await jobs.get(id) for id in before} == before
    assert await psql.fetchval(TYPES) == ["new", "other"]
    for id, job in before.items():
        [event] = await events_of(live_storage, id)
        assert (event.event, event.job_type) == ("job:added", job.job_type)
    assert [tuple(row) for row in await psql.fetch(COUNTED)] == [("new", "pending", 2), ("other", "pending", 1)]
    page = await jobs.page(JobFilter(job_types=("new",)), before=None, limit=10)
    assert [job.id for job in page.jobs] == [second, first]
    assert [job.id for job in await claim(jobs, "new")] == [first, second]
    assert (await live_storage.upkeep.stage(limit=10)).count == 0
    assert await psql.fetchval("select count(*) from dataqueue.job_spec where new_type is not null") == 0


async def test_a_dead_letters_type_is_made_as_well(live_storage: Storage, psql: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="mail")]])
    await claim(jobs, "mail")
    [id] = await arrived(psql, "mail", more=", dead_letter_job_type => 'graveyard', max_attempts => 1")
    assert await claim(jobs, "mail") == []
    await live_storage.upkeep.stage(limit=10)
    [job] = await claim(jobs, "mail")
    await jobs.fail([job.lease], failures=[Failure("no")])
    [dead] = await claim(jobs, "graveyard")
    assert json.loads(dead.payload)["original_job"]["id"] == str(id)


async def test_one_that_is_scheduled_is_admitted_at_once_and_ready_when_due(live_storage: Storage, psql: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    [id] = await arrived(psql, "new", more=", delay => '1 hour'")
    await live_storage.upkeep.stage(limit=10)
    assert (await jobs.get(id)).pending_reason == "scheduled"
    assert await told(live_storage, id) == ["job:added"]
    await psql.execute("update dataqueue.job set wake_at = now()")
    await live_storage.upkeep.stage(limit=10)
    assert [job.id for job in await claim(jobs, "new")] == [id]


async def test_one_that_becomes_due_before_it_is_admitted_is_ready_once_it_is(live_storage: Storage, psql: Any) -> None:
    await arrived(psql, "new", more=", delay => '1 microsecond'")
    assert (await live_storage.upkeep.stage(limit=10)).count == 2
    assert len(await claim(live_storage.jobs(NAMESPACE), "new")) == 1


async def test_what_is_done_to_a_job_before_holds_and_is_told_of_its_type(live_storage: Storage, psql: Any) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    cancelled, retried, edited, gone = await arrived(psql, *["new"] * 4)
    await jobs.cancel([cancelled])
    await jobs.cancel([retried])
    await jobs.retry([retried])
    await jobs.edit([edited], JobEdit(priority=5, dead_letter_job_type="graveyard"))
    await jobs.cancel([gone])
    await jobs.delete([gone])
    assert [event.job_type for event in await events_of(live_storage, cancelled)] == ["new"]

    await live_storage.upkeep.stage(limit=10)
    assert (await jobs.get(cancelled)).status is JobStatus.CANCELLED
    assert [job.id for job in await claim(jobs, "new")] == [edited, retried]
    with pytest.raises(NotFound):
        await jobs.get(gone)
    for id, names in (
        (cancelled, ["job:cancelled", "job:added"]),
        (retried, ["job:cancelled", "job:retried", "job:added", "job:processing"]),
        (edited, ["job:edited", "job:added", "job:processing"]),
    ):
        events = await events_of(live_storage, id)
        assert [event.event for event in events] == names
        assert {event.job_type for event in events} == {"new"}
    assert await psql.fetchval("select count(*) from dataqueue.event where job_type_id = 0 and job_id <> $1", gone) == 0
    await jobs.retry([cancelled])
    assert [job.id for job in await claim(jobs, "new")] == [cancelled]


async def test_any_number_may_admit_at_once(live_storage: Storage, postgres_url: str, psql: Any) -> None:
    ids = await arrived(psql, *(f"type-{number % 7}" for number in range(60)), more=", dead_letter_job_type => 'dead'")
    others = [open_storage(postgres_url) for _ in range(4)]
    async with asyncio.timeout(30):
        while await psql.fetchval("select exists (select from dataqueue.job where job_type_id = 0)"):
            await asyncio.gather(*(storage.upkeep.stage(limit=5) for storage in others))
    await asyncio.gather(*(storage.close() for storage in others))
    for id in ids:
        assert await told(live_storage, id) == ["job:added"]
    assert len(await psql.fetchval(TYPES)) == 8
    assert sum([row["n"] for row in await psql.fetch(COUNTED)]) == 60


async def test_what_happens_while_an_admission_begins_is_told_of_the_right_type(
    live_storage: Storage, psql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Database._fetch

    async def dawdle(self: Database, connection: Any, prepared: Statement, parameters: dict[str, object]) -> Any:
        if "job_type_id = 0" in prepared.sql and "no key update skip locked" in prepared.sql:
            # Between the snapshot that it begins with and its first lock.
            slow = prepared.sql.replace("job_type_id = 0", "(select pg_sleep(0.3) is not null) and job_type_id = 0", 1)
            prepared = prepared._replace(sql=slow)
        return await fetch(self, connection, prepared, parameters)

    monkeypatch.setattr(Database, "_fetch", dawdle)
    [id] = await arrived(psql, "new")
    staging = asyncio.create_task(live_storage.upkeep.stage(limit=10))
    await eventually("the admission has begun", lambda: _sleeps(psql))
    await live_storage.jobs(NAMESPACE).cancel([id])
    await staging
    assert [event.job_type for event in await events_of(live_storage, id)] == ["new", "new"]
    assert await psql.fetchval("select count(*) from dataqueue.event where job_type_id = 0") == 0


async def _sleeps(psql: Any) -> bool | None:
    sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    return True if await psql.fetchval(sleeping) else None


async def test_an_admission_that_is_cut_off_has_not_happened(
    live_storage: Storage, postgres_url: str, psql: Any
) -> None:
    assert isinstance(live_storage, PostgresStorage)
    [id] = await arrived(psql, "new")
    async with connected(postgres_url) as other:
        cut_off = other.transaction()
        await cut_off.start()
        [new] = await live_storage.database.run_on(other, "upkeep/hold_new", limit=10, namespace_id=None)
        [row] = await live_storage.database.run_on(other, "upkeep/admit", ids=[new["id"]])
        assert row["admitted"] == 1
        assert (await asyncio.wait_for(live_storage.upkeep.stage(limit=10), 2)).count == 0
        await cut_off.rollback()
    assert await psql.fetchval(TYPES) is None
    await live_storage.upkeep.stage(limit=10)
    assert await told(live_storage, id) == ["job:added"]
    assert len(await claim(live_storage.jobs(NAMESPACE), "new")) == 1


@pytest.mark.parametrize("made", ["new", "graveyard"])
async def test_a_type_that_another_transaction_is_making_is_waited_for(
    made: str, live_storage: Storage, postgres_url: str, psql: Any
) -> None:
    [id] = await arrived(psql, "new", more=", dead_letter_job_type => 'graveyard'")
    async with connected(postgres_url) as other:
        making = other.transaction()
        await making.start()
        await other.execute("insert into dataqueue.job_type (namespace_id, name) values (1, $1)", made)
        staging = asyncio.create_task(live_storage.upkeep.stage(limit=10))
        await asyncio.wait({staging}, timeout=0.2)
        await making.commit()
        assert (await asyncio.wait_for(staging, 5)).count == 1
    assert [job.id for job in await claim(live_storage.jobs(NAMESPACE), "new")] == [id]


async def test_a_job_that_somebody_holds_is_left_for_the_next_round(
    live_storage: Storage, postgres_url: str, psql: Any
) -> None:
    held, free = await arrived(psql, "new", "new")
    async with connected(postgres_url) as other, other.transaction():
        await other.execute("select from dataqueue.job where id = $1 for update", held)
        assert (await asyncio.wait_for(live_storage.upkeep.stage(limit=10), 2)).count == 1
    assert (await live_storage.upkeep.stage(limit=10)).count == 1
    assert {job.id for job in await claim(live_storage.jobs(NAMESPACE), "new")} == {held, free}


async def test_of_many_a_round_admits_as_many_as_it_was_told(live_storage: Storage, psql: Any) -> None:
    await arrived(psql, *["new"] * 7)
    assert [(await live_storage.upkeep.stage(limit=3)).count for _ in range(4)] == [3, 3, 1, 0]


async def test_who_stages_one_namespace_admits_for_that_one(live_storage: Storage, psql: Any) -> None:
    await psql.execute("insert into dataqueue.namespace (name) values ('shop')")
    await arrived(psql, "new")
    await arrived(psql, "new", more=", namespace => 'shop'")
    assert (await live_storage.upkeep.stage(limit=10, namespace="shop")).count == 1
    assert len(await claim(live_storage.jobs("shop"), "new")) == 1
    assert await claim(live_storage.jobs(NAMESPACE), "new") == []


async def test_who_waits_for_the_type_is_told_when_it_is_admitted(live_storage: Storage, psql: Any) -> None:
    async with live_storage.notifier.listen() as hints:
        await listening(hints)
        await arrived(psql, "new", "new", "other")
        assert await asyncio.wait_for(anext(hints), 5) == Hint("admit", NAMESPACE)
        await live_storage.upkeep.stage(limit=10)
        hint = await asyncio.wait_for(anext(hints), 5)
        while hint == Hint("admit", NAMESPACE):
            hint = await asyncio.wait_for(anext(hints), 5)
    assert (hint.kind, set(hint.names)) == ("ready", {"new", "other"})


async def test_so_many_types_that_their_names_fill_no_hint_are_admitted_as_well(
    live_storage: Storage, psql: Any
) -> None:
    await arrived(psql, *(f"{number:0>200}" for number in range(50)))
    assert (await live_storage.upkeep.stage(limit=100)).count == 50


async def test_going_down_to_a_revision_without_it_admits_what_was_not_yet(postgres_url: str, psql: Any) -> None:
    [id] = await arrived(psql, "new", more=", dead_letter_job_type => 'graveyard'")
    await psql.close()
    await migrate(postgres_url, revision="-3")  # 0003 made it
    await migrate(postgres_url)
    storage = open_storage(postgres_url)
    assert not (await storage.upkeep.stage(limit=10)).count
    assert [job.id for job in await claim(storage.jobs(NAMESPACE), "new")] == [id]
    assert await told(storage, id) == ["job:added", "job:processing"]
    await storage.close()


async def test_looking_for_some_to_admit_costs_next_to_nothing_among_many_jobs(
    live_storage: Storage, psql: Any
) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type=f"type-{number % 10}") for number in range(3000)]])
    new = [NewToken(id=new_id(), timeout=HOUR) for _ in range(1000)]
    await live_storage.tokens(NAMESPACE).create(new)
    await psql.execute("analyze dataqueue.job; analyze dataqueue.token")
    assert isinstance(live_storage, PostgresStorage)
    async with explaining(live_storage.database, "upkeep/stage") as plans:
        await live_storage.upkeep.stage(limit=10)
    [plan] = plans
    assert plan.tables_read_whole() == set()
    assert plan.buffers() < 20
