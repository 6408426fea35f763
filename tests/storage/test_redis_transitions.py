"""What moves a job in Redis, where the port does not lead or does not show it."""

from __future__ import annotations

from typing import Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.counts import JobTypeSettings
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.job import JobStatus, Json
from dataqueue.domain.lifecycle import Verb
from dataqueue.domain.retention import Retention
from dataqueue.domain.steps import Wait
from dataqueue.storage.port import Storage
from dataqueue.storage.redis.keys import beginning_of
from tests.redis_servers import RedisServer
from tests.storage.counted import assert_what_was_counted_is_there
from tests.storage.given import (
    FOR_NOW,
    HOUR,
    LEASE,
    MAX_CRASHES,
    NAMESPACE,
    SECOND,
    claim,
    claim_this,
    given_claimed_job,
    given_job,
    given_job_and_lease,
    new_job,
)
from tests.storage.verbs import ON_ONE_THAT_IS_THERE, attempt

BEGINNING: Final = beginning_of(NAMESPACE)
UNKNOWN: Final = "00000000-0000-7000-8000-000000000000"


def key(name: str) -> str:
    return f"{BEGINNING}:{name}"


def members(redis: RedisServer, name: str) -> list[str]:
    return [member.decode() for member in redis.client.zrange(key(name), 0, -1)]


@pytest.mark.parametrize("verb", ON_ONE_THAT_IS_THERE)
async def test_a_waiting_job_is_among_those_that_become_due_until_it_is_cancelled(
    storage: Storage, clock: ManualClock, redis: RedisServer, verb: Verb
) -> None:
    job, lease = await given_job_and_lease(storage, status=JobStatus.WAITING)
    assert str(job.id) in members(redis, "due")
    await attempt(storage, clock, verb, job, lease)
    assert (str(job.id) in members(redis, "due")) is (verb not in (Verb.CANCEL, Verb.WAKE))


async def test_a_wait_that_has_ended_resumes_without_counting_an_attempt(storage: Storage, clock: ManualClock) -> None:
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    await jobs.suspend([held.lease], waits=[[Wait(name="rest", delay=HOUR)]])
    assert await storage.upkeep.stage(limit=10) == (await storage.upkeep.stage(limit=10))
    clock.advance(HOUR)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    again = await claim_this(jobs, held)
    assert (again.attempts, again.invocation) == (1, 2)
    await jobs.release([again.lease])
    assert (await jobs.get(held.id)).attempts == 1
    once_more = await claim_this(jobs, held)
    assert once_more.attempts == 1
    await jobs.fail([once_more.lease], failures=[FOR_NOW])
    clock.advance(HOUR)
    await storage.upkeep.stage(limit=10)
    assert (await claim_this(jobs, held)).attempts == 2
    await assert_what_was_counted_is_there(storage, NAMESPACE)


async def test_places_without_a_job_are_taken_away_and_stop_nobody(
    storage: Storage, clock: ManualClock, redis: RedisServer
) -> None:
    held, due = await given_claimed_job(storage, job_type="a"), await given_job(storage, job_type="a", delay=SECOND)
    ready = await given_job(storage, job_type="a")
    redis.client.zadd(key("due"), {UNKNOWN: 1})
    redis.client.zadd(key("running"), {UNKNOWN: 1})
    redis.client.zadd(key("ready:a"), {"0" * 32 + UNKNOWN: -99})
    clock.advance(LEASE + SECOND)
    assert (await storage.upkeep.stage(limit=10)).count == 1
    assert await storage.upkeep.reclaim(limit=10, max_crashes=MAX_CRASHES) == 1
    claimed = await claim(storage.jobs(NAMESPACE), "a")
    assert {job.id for job in claimed} == {held.id, due.id, ready.id}
    assert [UNKNOWN in member for name in ("due", "ready:a") for member in members(redis, name)] == []
    assert sorted(members(redis, "running")) == sorted(str(job.id) for job in claimed)


async def test_names_and_numbers_go_with_the_last_job_that_had_them_and_settings_keep_a_name(
    storage: Storage, redis: RedisServer
) -> None:
    jobs = storage.jobs(NAMESPACE)
    await storage.job_types(NAMESPACE).put("kept", JobTypeSettings())
    first = await given_job(storage, job_type="a", tags=("x", "y"), status=JobStatus.CANCELLED)
    second = await given_job(storage, job_type="a", tags=("y",))
    third = await given_job(storage, job_type="kept", status=JobStatus.CANCELLED)
    assert (members(redis, "types"), members(redis, "tags")) == (["a", "kept"], ["x", "y"])
    await jobs.delete([first.id])
    assert (members(redis, "types"), members(redis, "tags")) == (["a", "kept"], ["y"])
    await jobs.edit([second.id], JobEdit(tags=("z",)))
    assert members(redis, "tags") == ["z"]
    await jobs.cancel([second.id])
    await jobs.delete([second.id])
    assert (members(redis, "types"), members(redis, "tags")) == (["kept"], [])
    assert redis.client.exists(key("seq"))
    await jobs.delete([third.id])
    assert members(redis, "types") == ["kept"]
    assert not redis.client.exists(key("seq"))


async def test_what_equals_its_default_again_after_an_edit_is_not_kept(storage: Storage, redis: RedisServer) -> None:
    jobs = storage.jobs(NAMESPACE)
    plain = await given_job(storage, job_type="a")
    job = await given_job(
        storage, job_type="a", payload=Json("1"), priority=3, delay=HOUR, tags=("x",), dead_letter_job_type="dead"
    )
    back = JobEdit(payload=Json("{}"), priority=None, run_at=None, tags=None, dead_letter_job_type=None)
    await jobs.edit([job.id], back)
    fields = set(redis.client.hkeys(key(f"job:{plain.id}"))) | {b"updated_at"}
    assert set(redis.client.hkeys(key(f"job:{job.id}"))) == fields
    for name in (f"payload:{job.id}", "rk:-3", "later", "due", "tg:pending:x", "tags"):
        assert not redis.client.exists(key(name)), name


async def test_many_that_were_added_at_one_instant_and_ended_lately_are_passed(
    storage: Storage, clock: ManualClock
) -> None:
    jobs = storage.jobs(NAMESPACE)
    for _ in range(3):
        await jobs.enqueue([[new_job(job_type="late") for _ in range(700)]])
    clock.advance(SECOND)
    early = await given_job(storage, job_type="early", status=JobStatus.CANCELLED)
    clock.advance(HOUR)
    while held := await claim(jobs, "late"):
        await jobs.complete([one.lease for one in held], outputs=[None] * len(held))
    await jobs.enqueue([[new_job(job_type="later")]])
    kept = Retention(completed=HOUR / 2, failed=HOUR / 2, cancelled=HOUR / 2)
    pruned = await storage.upkeep.prune(kept, limit=1)
    assert pruned.count == 1
    assert await jobs.ended([early.id]) == {early.id}
    removed = 0
    clock.advance(HOUR)
    for _ in range(40):
        removed += (await storage.upkeep.prune(kept, limit=150)).count
    assert removed == 2100


async def test_a_worker_recalls_more_than_one_script_takes(storage: Storage) -> None:
    jobs = storage.jobs(NAMESPACE)
    await jobs.enqueue([[new_job(job_type="a") for _ in range(350)]])
    held = await claim(jobs, "a", limit=350)
    assert await jobs.recall("ann", known=[job.lease for job in held[:30]]) == 320
    assert await jobs.recall("ann", known=[job.lease for job in held[:30]]) == 0
    assert {job.attempts for job in await claim(jobs, "a", limit=350)} == {1}
