"""Connections that break: nothing is done twice, and nothing is claimed to be done that may not be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from dataqueue.domain.events import EventName
from dataqueue.domain.filters import JobFilter
from dataqueue.domain.job import Beat, JobStatus, Json, Reported
from dataqueue.enqueuing import Enqueuer
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Hint, Storage
from tests.hearing import listening, next_of
from tests.storage.given import (
    FOR_GOOD,
    LEASE,
    NAMESPACE,
    a_type,
    claim,
    eventually,
    given_claimed_job,
    given_job,
    new_job,
    told,
)
from tests.storage.raw import connected
from tests.storage.severing import Severing

ALL: Final = JobFilter()
WAITING: Final = """select pid from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()"""


async def kill_whoever_waits(connection: Any) -> None:
    """End the server process of the one statement that waits for a lock."""

    async def waiting() -> int | None:
        pid: int | None = await connection.fetchval(WAITING)
        return pid

    pid = await eventually("a statement waits", waiting)
    assert await connection.fetchval("select pg_terminate_backend($1)", pid)


async def test_a_report_whose_connection_was_killed_is_of_unknown_outcome_and_can_be_repeated(
    live_storage: Storage, postgres_url: str
) -> None:
    jobs, held = live_storage.jobs(NAMESPACE), await given_claimed_job(live_storage)
    async with connected(postgres_url) as other, connected(postgres_url) as killer:
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        completing = asyncio.create_task(jobs.complete([held.lease], outputs=[Json("1")]))
        await kill_whoever_waits(killer)
        with pytest.raises(StorageUnavailable) as broken:
            await completing
        assert broken.value.outcome_unknown
        await lock.rollback()
    assert await jobs.complete([held.lease], outputs=[Json("1")]) == [Reported.OK]
    assert await told(live_storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_an_enqueue_whose_connection_was_killed_is_written_again_for_the_caller(
    live_storage: Storage, postgres_url: str
) -> None:
    said: list[set[str]] = []
    enqueuer, job = Enqueuer(live_storage.jobs(NAMESPACE), announce=said.append), new_job(job_type="mail")
    await given_job(live_storage, job_type="mail", status=JobStatus.CANCELLED)
    async with connected(postgres_url) as other, connected(postgres_url) as killer:
        lock = other.transaction()
        await lock.start()
        await other.execute("lock table dataqueue.job_spec in share mode")
        adding = asyncio.create_task(enqueuer.add([job]))
        await kill_whoever_waits(killer)
        await lock.rollback()
        [answer] = await adding
    assert (answer.id, answer.created) == (job.id, True)
    assert await told(live_storage, job.id) == [EventName.ADDED]
    assert said == [{"mail"}]


async def test_connections_that_were_killed_while_idle_are_replaced(live_storage: Storage, postgres_url: str) -> None:
    await given_job(live_storage)
    async with connected(postgres_url) as killer:
        others = "datname = current_database() and pid <> pg_backend_pid()"
        killed = await killer.fetch(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")
        assert killed

        async def all_are_gone() -> bool | None:
            return None if await killer.fetchval(f"select count(*) from pg_stat_activity where {others}") else True

        await eventually("the killed processes are gone", all_are_gone)

    async def answers() -> bool | None:
        try:
            await live_storage.check()
        except StorageUnavailable:
            return None
        return True

    await eventually("the storage answers again", answers)


ENQUEUES: Final = [
    pytest.param({}, "insert into dataqueue.job_spec", id="plain, the write"),
    pytest.param({"idempotency_key": "k"}, "COMMIT", id="keyed, the commit"),
    pytest.param({"id_is_callers": True}, "COMMIT", id="with an id, the commit"),
    pytest.param({"idempotency_key": "k"}, "insert into dataqueue.job_spec", id="keyed, the write before the commit"),
]


@pytest.mark.parametrize(("fields", "words"), ENQUEUES)
async def test_an_enqueue_whose_answer_is_lost_makes_one_job_and_says_created(
    severed: tuple[Severing, Storage], fields: dict[str, object], words: str
) -> None:
    severing, storage = severed
    said: list[set[str]] = []
    enqueuer = Enqueuer(storage.jobs(NAMESPACE), announce=said.append)
    await given_job(storage, job_type="mail", status=JobStatus.CANCELLED, idempotency_key="made before")
    job = new_job(job_type="mail", payload=Json('{"n": 1.0}'), **fields)
    severing.cut_when(words)
    [answer] = await enqueuer.add([job])
    assert severing.cuts == 1
    assert (answer.id, answer.status, answer.created) == (job.id, JobStatus.PENDING, True)
    [found, _] = (await storage.jobs(NAMESPACE).page(ALL, before=None, limit=10)).jobs
    assert (found.id, found.payload) == (job.id, job.payload)
    assert await told(storage, job.id) == [EventName.ADDED]
    assert said == [{"mail"}]


async def test_a_lost_answer_is_every_callers_of_the_shared_write_and_all_are_answered(
    severed: tuple[Severing, Storage],
) -> None:
    severing, storage = severed
    enqueuer = Enqueuer(storage.jobs(NAMESPACE), announce=lambda _: None)
    await given_job(storage, job_type="mail", status=JobStatus.CANCELLED)
    severing.cut_when("insert into dataqueue.job_spec")
    made = [new_job(job_type="mail") for _ in range(20)]
    answers = await asyncio.gather(*(enqueuer.add([job]) for job in made))
    assert [(answer.id, answer.created) for [answer] in answers] == [(job.id, True) for job in made]
    assert len((await storage.jobs(NAMESPACE).page(ALL, before=None, limit=100)).jobs) == 21


async def test_a_repeat_whose_answer_is_lost_is_still_a_repeat(severed: tuple[Severing, Storage]) -> None:
    severing, storage = severed
    first = await given_job(storage, idempotency_key="k")
    severing.cut_when("COMMIT")
    enqueuer = Enqueuer(storage.jobs(NAMESPACE), announce=lambda _: None)
    [answer] = await enqueuer.add([new_job(idempotency_key="k")])
    assert (answer.id, answer.created, severing.cuts) == (first.id, False, 1)


async def test_a_completion_whose_answer_is_lost_is_a_duplicate_when_it_is_repeated(
    severed: tuple[Severing, Storage],
) -> None:
    severing, storage = severed
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    severing.cut_when("set status = 'completed'")
    with pytest.raises(StorageUnavailable) as broken:
        await jobs.complete([held.lease], outputs=[Json("1")])
    assert broken.value.outcome_unknown
    assert await jobs.complete([held.lease], outputs=[Json("1")]) == [Reported.DUPLICATE]
    assert (await jobs.get(held.id)).output == "1"
    assert await told(storage, held.id) == [EventName.ADDED, EventName.PROCESSING, EventName.COMPLETED]


async def test_a_failure_whose_answer_is_lost_is_a_duplicate_and_leaves_one_dead_letter(
    severed: tuple[Severing, Storage],
) -> None:
    severing, storage = severed
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage, dead_letter_job_type="dead")
    severing.cut_when("'job:dead_lettered'")
    with pytest.raises(StorageUnavailable) as broken:
        await jobs.fail([held.lease], failures=[FOR_GOOD])
    assert broken.value.outcome_unknown
    assert await jobs.fail([held.lease], failures=[FOR_GOOD]) == [Reported.DUPLICATE]
    assert (await told(storage, held.id))[2:] == [EventName.FAILED, EventName.DEAD_LETTERED]
    assert len(await claim(jobs, "dead")) == 1


async def test_a_release_whose_answer_is_lost_is_a_duplicate_when_it_is_repeated(
    severed: tuple[Severing, Storage],
) -> None:
    severing, storage = severed
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    severing.cut_when("'job:released'")
    with pytest.raises(StorageUnavailable):
        await jobs.release([held.lease])
    assert await jobs.release([held.lease]) == [Reported.DUPLICATE]
    assert (await jobs.get(held.id)).attempts == 0


async def test_jobs_whose_claim_was_not_heard_are_reclaimed_when_their_lease_ends(
    severed: tuple[Severing, Storage], postgres_url: str
) -> None:
    severing, storage = severed
    jobs, job = storage.jobs(NAMESPACE), await given_job(storage)
    severing.cut_when("'job:processing'")
    with pytest.raises(StorageUnavailable):
        await claim(jobs, job.job_type)
    assert (await jobs.get(job.id)).status is JobStatus.PROCESSING
    async with connected(postgres_url) as connection:
        await connection.execute("update dataqueue.job set lease_expires_at = now() - interval '1 second'")
    assert await storage.upkeep.reclaim(limit=10, max_crashes=3) == 1
    assert [held.id for held in await claim(jobs, job.job_type)] == [job.id]


async def test_a_heartbeat_whose_answer_is_lost_can_be_repeated(severed: tuple[Severing, Storage]) -> None:
    severing, storage = severed
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    severing.cut_when("lease_expires_at = coalesce")
    with pytest.raises(StorageUnavailable):
        await jobs.heartbeat([held.lease], lease=LEASE)
    assert severing.cuts == 1
    assert await jobs.heartbeat([held.lease], lease=LEASE) == [Beat.OK]


async def test_without_a_server_every_answer_is_that_it_is_away_and_a_hint_is_just_lost(tmp_path: Path) -> None:
    storage = open_storage(f"postgresql://queue@/postgres?host={tmp_path}")
    for asking in (
        storage.jobs(NAMESPACE).enqueue([[new_job()]]),
        storage.events(NAMESPACE).of_job(new_job().id, after=0, limit=1),
        storage.keys.any_exist(),
        storage.upkeep.stage(limit=1),
        storage.check(),
    ):
        with pytest.raises(StorageUnavailable) as away:
            await asking
        assert not away.value.outcome_unknown
    await storage.notifier.publish(Hint("ready", NAMESPACE, ("mail",)))
    await storage.close()


async def test_an_enqueue_without_a_server_is_refused_within_two_seconds(tmp_path: Path) -> None:
    storage = open_storage(f"postgresql://queue@/postgres?host={tmp_path}")
    enqueuer = Enqueuer(storage.jobs(NAMESPACE), announce=lambda _: None)
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(enqueuer.add([new_job()]), 2)
    await storage.close()


async def test_when_every_connection_is_taken_the_storage_says_so_within_two_seconds(postgres_url: str) -> None:
    storage = open_storage(postgres_url, pool_size=2)
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    async with connected(postgres_url) as other, connected(postgres_url) as watcher:
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        waiting = [asyncio.create_task(jobs.cancel([held.id])) for _ in range(2)]

        async def both_wait() -> bool | None:
            return True if len(await watcher.fetch(WAITING)) == 2 else None

        await eventually("both connections are taken", both_wait)
        with pytest.raises(StorageUnavailable) as away:
            await asyncio.wait_for(jobs.get(held.id), 2)
        assert not away.value.outcome_unknown
        await lock.rollback()
        await asyncio.gather(*waiting)
    await storage.close()


async def test_listening_goes_on_after_its_connection_was_killed(live_storage: Storage, postgres_url: str) -> None:
    listener = (
        "select pid from pg_stat_activity where datname = current_database() and query ilike '%listen%dataqueue%'"
    )
    async with connected(postgres_url) as killer, live_storage.notifier.listen() as hints:
        await listening(hints)
        await killer.execute(f"select pg_terminate_backend(pid) from ({listener} and pid <> pg_backend_pid()) as l")
        await listening(hints)
        await live_storage.notifier.publish(Hint("ready", NAMESPACE, ("mail",)))
        assert await next_of(hints) == Hint("ready", NAMESPACE, ("mail",))


async def test_a_statement_that_was_given_up_on_is_of_unknown_outcome(postgres_url: str) -> None:
    storage = open_storage(postgres_url, pool_size=1, patience=0.2)
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    async with connected(postgres_url) as other:
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        with pytest.raises(StorageUnavailable) as given_up:
            await jobs.complete([held.lease], outputs=[None])
        await lock.rollback()
    assert given_up.value.outcome_unknown
    assert await jobs.complete([held.lease], outputs=[None]) in ([Reported.OK], [Reported.DUPLICATE])
    await storage.close()


async def test_a_caller_who_left_in_the_middle_leaves_a_usable_storage_behind(postgres_url: str) -> None:
    storage = open_storage(postgres_url, pool_size=1)
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    async with connected(postgres_url) as other, connected(postgres_url) as watcher:
        lock = other.transaction()
        await lock.start()
        await other.execute("select from dataqueue.job where id = $1 for update", held.id)
        leaving = asyncio.create_task(jobs.complete([held.lease], outputs=[None]))
        await eventually("the report waits", lambda: watcher.fetchval(WAITING))
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await lock.rollback()
    assert await jobs.complete([held.lease], outputs=[None]) in ([Reported.OK], [Reported.DUPLICATE])
    await storage.close()


async def test_a_claim_whose_second_look_was_not_heard_says_so_and_can_be_recalled_whole(
    severed: tuple[Severing, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some jobs are known and others are not: handing out the known ones would strand the others for a lease."""
    monkeypatch.setattr("dataqueue.storage.postgres.low_water._FULL_LOOK", 1000)  # it goes by the marks
    severing, storage = severed
    jobs, job_type = storage.jobs(NAMESPACE), a_type()
    await jobs.enqueue([[new_job(job_type=job_type) for _ in range(3)]])
    known = await claim(jobs, job_type, limit=2)
    await jobs.enqueue([[urgent := new_job(job_type=job_type, priority=5)]])
    severing.cut_when("'job:processing'", sparing=1)
    with pytest.raises(StorageUnavailable) as broken:
        await claim(jobs, job_type, limit=10)
    assert (severing.cuts, broken.value.outcome_unknown) == (1, True)
    assert (await jobs.get(urgent.id)).status is JobStatus.PROCESSING
    assert await jobs.recall("ann", known=[held.lease for held in known]) == 2
    assert len(again := await claim(jobs, job_type, limit=10)) == 2
    assert [held.crashes for held in again] == [0, 0]
