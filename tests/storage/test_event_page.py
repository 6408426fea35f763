"""What the log holds between two positions, narrowed as a stream is."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.edit import JobEdit
from dataqueue.domain.events import EVERYTHING, Event, EventFilter, EventName
from dataqueue.domain.filters import TagMode
from dataqueue.domain.job import JobStatus, Json
from dataqueue.errors import PositionExpired
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.storage.given import NAMESPACE, given_job
from tests.storage.test_event_tail import HERE, given_tail, settled
from tests.storage.test_namespaces import OTHER, given_namespace

DAY = timedelta(days=1)
TAGS = ((), ("a",), ("b", "a"), ("c",), ("a", "b", "c"))


async def walked(
    storage: Storage, matching: EventFilter, *, after: int = 0, limit: int = 7, namespace: str = NAMESPACE
) -> list[Event]:
    """Everything that matches, page by page."""
    log, found = storage.events(namespace), list[Event]()
    until = (await log.bounds()).newest
    while after < until:
        page = await log.page(matching, after=after, until=until, limit=limit)
        assert after < page.position <= until
        assert len(page.events) <= limit
        found += page.events
        after = page.position
    return found


async def given_log(storage: Storage) -> list[Event]:
    for number, tags in enumerate(TAGS):
        for status in (JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.FAILED):
            await given_job(storage, job_type=f"type-{number % 2}", tags=tags, status=status)
    log = await walked(storage, EVERYTHING)
    assert len(log) == 5 * (3 + 2 + 3)
    return log


def job_of(event: Event) -> UUID:
    assert event.job_id is not None
    return event.job_id


async def test_pages_hold_everything_in_order_whatever_their_size(storage: Storage) -> None:
    log = await given_log(storage)
    assert [event.id for event in log] == sorted({event.id for event in log})
    for limit in (1, 2, len(log), 1000):
        assert await walked(storage, EVERYTHING, limit=limit) == log
    assert await walked(storage, EVERYTHING, after=log[9].id) == log[10:]
    page = await storage.events(NAMESPACE).page(EVERYTHING, after=log[2].id, until=log[5].id, limit=100)
    assert (page.events, page.position) == (log[3:6], log[5].id)


@pytest.mark.parametrize("mode", TagMode)
@pytest.mark.parametrize("tags", [("a",), ("a", "b"), ("c", "x"), ("x",), ("c", "b", "a")])
async def test_tags_narrow_as_the_filter_says(storage: Storage, mode: TagMode, tags: tuple[str, ...]) -> None:
    log = await given_log(storage)
    matching = EventFilter(tags=tags, tag_mode=mode)
    assert await walked(storage, matching) == [event for event in log if matching.matches(event)]


async def test_names_types_and_jobs_narrow_together(storage: Storage) -> None:
    log = await given_log(storage)
    some = (job_of(log[0]), job_of(log[8]), new_id())
    for matching in (
        EventFilter(events=(EventName.COMPLETED,)),
        EventFilter(events=(EventName.COMPLETED, EventName.FAILED), job_types=("type-1", "nobody's")),
        EventFilter(job_ids=some),
        EventFilter(job_ids=some, events=(EventName.ADDED,)),
        EventFilter(job_ids=some, job_types=("type-0",), tags=("a",), tag_mode=TagMode.NONE),
        EventFilter(events=(EventName.RELEASED,)),
    ):
        assert await walked(storage, matching, limit=2) == [event for event in log if matching.matches(event)]


@pytest.mark.parametrize("by_job", [False, True])
async def test_large_events_come_a_few_at_a_time(storage: Storage, by_job: bool) -> None:
    """An edit repeats the payload: a thousand of them would be more than a process can be asked to hold."""
    job = await given_job(storage, job_type="type")
    tail = await given_tail(storage)
    large = Json('"' + "x" * 250_000 + '"')
    for _ in range(40):
        await storage.jobs(NAMESPACE).edit([job.id], JobEdit(payload=large))
    log, until = storage.events(NAMESPACE), (await storage.events(NAMESPACE).bounds()).newest
    matching = EventFilter(job_ids=(job.id,)) if by_job else EVERYTHING
    page = await log.page(matching, after=0, until=until, limit=1000)
    assert 10 < len(page.events) < 20
    assert page.position == page.events[-1].id
    assert len(await walked(storage, matching, limit=1000)) == 41
    look = await settled(tail)
    assert look.more
    told = list(look.events)
    while look.more:
        look = await tail.look(HERE, limit=1000)
        assert len(look.events) < 20
        told += look.events
    assert len(told) == 40


async def test_another_namespaces_events_are_not_seen_and_cost_no_place(storage: Storage) -> None:
    await given_namespace(storage)
    log = await given_log(storage)
    assert await walked(storage, EVERYTHING, namespace=OTHER) == []
    assert await walked(storage, EventFilter(job_ids=(job_of(log[0]),)), namespace=OTHER) == []


async def test_where_days_have_been_removed_nobody_reads_on_as_if_nothing_had_been(
    storage: Storage, clock: ManualClock
) -> None:
    log = await given_log(storage)
    assert (await storage.events(NAMESPACE).bounds()).oldest == 0
    clock.advance(40 * DAY)
    await storage.upkeep.prepare_event_log()
    await storage.upkeep.prune_events(keep=30 * DAY)
    events = storage.events(NAMESPACE)
    bounds = await events.bounds()
    assert bounds.oldest == bounds.newest == log[-1].id
    for after in (0, log[-2].id):
        with pytest.raises(PositionExpired):
            await events.page(EVERYTHING, after=after, until=log[-1].id, limit=10)
    await given_job(storage)
    [event] = await walked(storage, EVERYTHING, after=bounds.oldest)
    assert event.event is EventName.ADDED
