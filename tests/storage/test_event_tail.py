"""Following the end of the log: everything once, in order, and nothing before it is certain."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import Event, EventName
from dataqueue.domain.job import JobStatus
from dataqueue.storage.answers import Look
from dataqueue.storage.port import EventTail, Storage
from tests.storage.given import NAMESPACE, events_of, eventually, given_claimed_jobs, given_job, new_job
from tests.storage.test_namespaces import OTHER, given_namespace

HERE = (NAMESPACE,)


async def settled(tail: EventTail, namespaces: Collection[str] = HERE, *, limit: int = 1000) -> Look:
    """The first look that does not wait for anybody's transaction."""

    async def look() -> Look | None:
        found = await tail.look(namespaces, limit=limit)
        return None if found.waits else found

    return await eventually("the newest events are certain", look)


async def given_tail(storage: Storage) -> EventTail:
    """One that stands at the end of the log."""
    tail = storage.tail()
    assert (await settled(tail)).events == []
    return tail


def summary(events: list[Event]) -> list[tuple[str | None, EventName]]:
    return [(event.job_type, event.event) for event in events]


async def test_the_first_look_tells_of_no_events_and_of_the_end_of_the_log(storage: Storage) -> None:
    job = await given_job(storage)
    [event] = await events_of(storage, job.id)
    look = await settled(storage.tail())
    assert (look.events, dict(look.frontiers), look.more) == ([], {NAMESPACE: event.id}, False)


async def test_in_an_empty_log_the_end_is_its_beginning(storage: Storage) -> None:
    assert (await settled(storage.tail())).frontiers == {NAMESPACE: 0}


async def test_what_happens_is_told_once_as_it_stands_in_the_log(storage: Storage) -> None:
    tail = await given_tail(storage)
    job = await given_job(storage, status=JobStatus.COMPLETED, tags=("a", "b"))
    look = await settled(tail)
    assert look.events == await events_of(storage, job.id)
    assert look.frontiers[NAMESPACE] == look.events[-1].id
    assert (await settled(tail)).events == []


async def test_a_long_stretch_is_told_in_parts(storage: Storage) -> None:
    tail = await given_tail(storage)
    await given_claimed_jobs(storage, 25)
    looks = [await settled(tail, limit=20)]
    while looks[-1].more:
        looks.append(await tail.look(HERE, limit=20))
    assert [len(look.events) for look in looks] == [20, 20, 10]
    told = [event for look in looks for event in look.events]
    assert [event.id for event in told] == sorted({event.id for event in told})
    for look in looks:
        assert look.frontiers[NAMESPACE] == look.events[-1].id


async def test_only_namespaces_that_were_asked_for_are_told_of(storage: Storage) -> None:
    foreign = await given_namespace(storage)
    ours, both = await given_tail(storage), storage.tail()
    await settled(both, (NAMESPACE, OTHER))
    await foreign.enqueue([[new_job(job_type="theirs")]])
    await given_job(storage, job_type="ours")
    assert summary((await settled(ours)).events) == [("ours", EventName.ADDED)]
    told = (await settled(both, (NAMESPACE, OTHER))).events
    # Positions of one namespace need not be comparable with those of another.
    assert {(event.namespace, event.job_type) for event in told} == {(OTHER, "theirs"), (NAMESPACE, "ours")}
    assert len(told) == 2


async def test_a_namespace_that_comes_late_begins_at_the_end_even_of_a_stretch_half_told(storage: Storage) -> None:
    foreign = await given_namespace(storage)
    tail = await given_tail(storage)
    await given_job(storage)
    await foreign.enqueue([[new_job(job_type="before")]])
    await given_job(storage)
    first = await settled(tail, (NAMESPACE, OTHER), limit=1)
    assert (len(first.events), first.more, set(first.frontiers)) == (1, True, {NAMESPACE})
    rest = await tail.look((NAMESPACE, OTHER), limit=1000)
    assert {event.namespace for event in rest.events} == {NAMESPACE}
    assert set(rest.frontiers) == {NAMESPACE, OTHER}
    await foreign.enqueue([[new_job(job_type="after")]])
    assert summary((await settled(tail, (NAMESPACE, OTHER))).events) == [("after", EventName.ADDED)]


async def test_tails_of_two_processes_tell_the_same(storage: Storage) -> None:
    one, other = await given_tail(storage), await given_tail(storage)
    await asyncio.gather(*(given_job(storage, status=JobStatus.COMPLETED) for _ in range(10)))
    told = (await settled(one)).events
    assert len(told) == 30
    assert (await settled(other)).events == told


async def test_every_event_has_the_tags_its_job_had_when_it_happened(storage: Storage) -> None:
    tail = await given_tail(storage)
    jobs = storage.jobs(NAMESPACE)
    job = await given_job(storage, tags=("old",), status=JobStatus.FAILED, dead_letter_job_type="graves")
    await jobs.retry([job.id])
    await jobs.edit([job.id], JobEdit(tags=("new", "er")))
    await jobs.edit([job.id], JobEdit(priority=3))
    await jobs.cancel([job.id])
    await jobs.delete([job.id])
    told = (await settled(tail)).events
    assert [(event.event, event.tags) for event in told] == [
        (EventName.ADDED, ("old",)),
        (EventName.PROCESSING, ("old",)),
        (EventName.FAILED, ("old",)),
        (EventName.DEAD_LETTERED, ("old",)),
        (EventName.ADDED, ()),
        (EventName.RETRIED, ("old",)),
        (EventName.EDITED, ("new", "er")),
        (EventName.EDITED, ("new", "er")),
        (EventName.CANCELLED, ("new", "er")),
    ]
