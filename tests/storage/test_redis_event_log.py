"""The event log in Redis: what keeps being found, what is forgotten, and that nothing of it stays behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EVERYTHING, EventFilter, EventName
from dataqueue.domain.job import JobStatus
from dataqueue.domain.retention import Retention
from dataqueue.errors import PositionExpired
from dataqueue.storage.port import Storage
from dataqueue.storage.redis import events
from tests.redis_servers import RedisServer
from tests.storage.given import NAMESPACE, events_of, given_claimed_jobs, given_job, told
from tests.storage.test_event_page import walked
from tests.storage.test_event_tail import HERE, given_tail

DAY: Final = timedelta(days=1)
AT_ONCE: Final = Retention(completed=timedelta(0), failed=timedelta(0), cancelled=timedelta(0))


async def given_pruned_namespace(storage: Storage, clock: ManualClock) -> int:
    """One that had a job and its events, and has neither any more; the last position it had."""
    job = await given_job(storage, status=JobStatus.CANCELLED)
    [*_, last] = await events_of(storage, job.id)
    clock.advance(3 * DAY)
    await storage.upkeep.prune(AT_ONCE, limit=10)
    assert await storage.upkeep.prune_events(keep=DAY) == 2
    return last.id


async def test_events_of_a_deleted_job_are_found_as_long_as_they_are_kept(storage: Storage, clock: ManualClock) -> None:
    jobs = storage.jobs(NAMESPACE)
    job, other = await given_job(storage, status=JobStatus.COMPLETED), await given_job(storage)
    kept = await events_of(storage, job.id)
    await jobs.delete([job.id])
    matching = EventFilter(job_ids=(job.id,))
    assert await walked(storage, matching, limit=2) == kept
    clock.advance(3 * DAY)
    await storage.upkeep.prune_events(keep=DAY)
    oldest = (await storage.events(NAMESPACE).bounds()).oldest
    await jobs.cancel([other.id])
    assert await walked(storage, matching, after=oldest) == []
    assert len(await walked(storage, EVERYTHING, after=oldest)) == 1


async def test_an_id_used_again_has_the_events_of_all_its_jobs(storage: Storage) -> None:
    first = await given_job(storage, status=JobStatus.CANCELLED)
    await storage.jobs(NAMESPACE).delete([first.id])
    await given_job(storage, status=JobStatus.CANCELLED, id=first.id, id_is_callers=True)
    await storage.jobs(NAMESPACE).delete([first.id])
    of_two = [EventName.ADDED, EventName.CANCELLED] * 2
    assert [event.event for event in await walked(storage, EventFilter(job_ids=(first.id,)))] == of_two
    await given_job(storage, id=first.id, id_is_callers=True)
    assert await told(storage, first.id) == [*of_two, EventName.ADDED]
    assert [event.event for event in await walked(storage, EventFilter(job_ids=(first.id,)))] == [
        *of_two,
        EventName.ADDED,
    ]


async def test_a_job_with_very_many_events_is_looked_for_in_the_whole_log(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LOOKED_AT", 50)
    monkeypatch.setattr(events, "_AT_ONCE", 20)
    monkeypatch.setattr(events, "_STEPS_AT_ONCE", 7)
    job, jobs = await given_job(storage), storage.jobs(NAMESPACE)
    for number in range(100):
        await jobs.edit([job.id], JobEdit(priority=number % 7))
        if number % 10 == 0:
            await given_job(storage)
    of_job = await events_of(storage, job.id)
    assert len(of_job) == 101
    assert await storage.events(NAMESPACE).of_job(job.id, after=of_job[10].id, limit=5) == of_job[11:16]
    assert await walked(storage, EventFilter(job_ids=(job.id,)), limit=30) == of_job
    assert await walked(storage, EventFilter(job_ids=(job.id,)), after=of_job[80].id, limit=30) == of_job[81:]


async def test_with_the_last_job_and_the_last_event_the_log_is_gone(
    storage: Storage, clock: ManualClock, redis: RedisServer
) -> None:
    await given_pruned_namespace(storage, clock)
    await storage.upkeep.fold_counts(limit=1000)
    assert redis.client.keys("{dq:default}*") == []
    assert (await storage.events(NAMESPACE).bounds()).newest == 0


async def test_who_was_in_a_log_that_is_gone_does_not_read_on_in_the_next(storage: Storage, clock: ManualClock) -> None:
    last = await given_pruned_namespace(storage, clock)
    await given_job(storage)
    log = storage.events(NAMESPACE)
    bounds = await log.bounds()
    for matching in (EVERYTHING, EventFilter(job_ids=((await given_job(storage)).id,))):
        with pytest.raises(PositionExpired):
            await log.page(matching, after=last, until=bounds.newest, limit=10)
    assert bounds.has_lost(last)
    assert not bounds.has_lost(0)
    assert len(await walked(storage, EVERYTHING)) == 2


async def test_a_reader_who_had_seen_all_that_was_removed_reads_on(storage: Storage, clock: ManualClock) -> None:
    job = await given_job(storage)
    [event] = await events_of(storage, job.id)
    clock.advance(3 * DAY)
    await storage.jobs(NAMESPACE).cancel([job.id])
    assert await storage.upkeep.prune_events(keep=DAY) == 1
    assert [one.event for one in await walked(storage, EVERYTHING, after=event.id)] == [EventName.CANCELLED]


async def test_days_of_many_events_are_removed_a_little_at_a_time(
    storage: Storage, clock: ManualClock, redis: RedisServer
) -> None:
    await given_claimed_jobs(storage, 2000)
    clock.advance(3 * DAY)
    job = await given_job(storage)
    assert await storage.upkeep.prune_events(keep=DAY) == 4000
    assert redis.client.xlen("{dq:default}:events") == 1
    assert await told(storage, job.id) == [EventName.ADDED]


async def given_clock_set_back(storage: Storage, clock: ManualClock, *, ahead: int) -> list[int]:
    """Events on a day, then so many when the clock was years ahead, then some on that day again; their positions."""
    await given_claimed_jobs(storage, 3)
    clock.advance(3650 * DAY)
    await given_claimed_jobs(storage, ahead)
    clock.advance(-3650 * DAY)
    await given_claimed_jobs(storage, 3)
    return [event.id for event in await walked(storage, EVERYTHING)]


@pytest.mark.parametrize("ahead", [1, 3000])
async def test_events_are_removed_by_their_day_though_the_clock_was_once_far_ahead(
    storage: Storage, clock: ManualClock, ahead: int
) -> None:
    past = await given_clock_set_back(storage, clock, ahead=ahead)
    assert await storage.upkeep.prune_events(keep=DAY) == 0
    clock.advance(DAY)
    job = await given_job(storage)
    kept = await events_of(storage, job.id)
    assert kept[0].id == past[-1] + 1, "positions are ahead"
    assert await storage.upkeep.prune_events(keep=DAY) == 0
    clock.advance(DAY)
    assert await storage.upkeep.prune_events(keep=DAY) == len(past)
    assert await walked(storage, EVERYTHING, after=past[-1]) == kept
    assert (await storage.events(NAMESPACE).bounds()).oldest == past[-1]
    assert await storage.upkeep.prune_events(keep=DAY) == 0


async def test_events_from_when_the_clock_was_ahead_are_kept_until_a_later_one_is_old(
    storage: Storage, clock: ManualClock
) -> None:
    clock.advance(3650 * DAY)
    await given_job(storage)
    clock.advance(-3650 * DAY)
    for _ in range(5):
        assert await storage.upkeep.prune_events(keep=DAY) == 0
        clock.advance(DAY)
    await given_job(storage)
    assert await storage.upkeep.prune_events(keep=DAY) == 0
    clock.advance(2 * DAY)
    assert await storage.upkeep.prune_events(keep=DAY) == 2


async def test_positions_go_on_where_they_were_when_a_log_ends_before_the_clock_has_caught_up(
    storage: Storage, clock: ManualClock, redis: RedisServer
) -> None:
    for years in (10, -10):
        clock.advance(365 * DAY * years)
        job = await given_job(storage, status=JobStatus.CANCELLED)
        await storage.jobs(NAMESPACE).delete([job.id])
    last = (await storage.events(NAMESPACE).bounds()).newest
    clock.advance(3 * DAY)
    assert await storage.upkeep.prune_events(keep=DAY) == 4
    assert redis.client.keys("{dq:default}:events") == []
    [event] = await events_of(storage, (await given_job(storage)).id)
    assert event.id == last + 1
    assert await walked(storage, EVERYTHING, after=last) == [event]


async def test_a_tail_of_many_namespaces_looks_at_them_in_turn(storage: Storage) -> None:
    tail = storage.tail()
    names = [f"n{number}" for number in range(5)]
    await tail.look(names, limit=5)
    seen: set[str] = set()
    for _ in range(3):
        look = await tail.look(names, limit=2)
        assert len(look.frontiers) == 2
        assert look.more
        seen |= look.frontiers.keys()
    assert seen == set(names)
    assert not (await tail.look(names, limit=5)).more
    assert (await tail.look((), limit=5)).frontiers == {}


async def test_a_tail_hears_of_a_log_that_went_back(storage: Storage, redis: RedisServer) -> None:
    """As after a failover that lost the last of it."""
    await given_job(storage)
    tail = await given_tail(storage)
    last = int(redis.client.hget("{dq:default}:log", "last") or 0)
    redis.client.hset("{dq:default}:log", "last", str(last - 5))
    assert (await tail.look(HERE, limit=10)).frontiers == {NAMESPACE: last - 5}
