"""Who is told of what, found by an index, and how much may wait for one of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataqueue.domain.events import EVERYTHING, Event, EventFilter, EventName
from dataqueue.domain.filters import TagMode
from dataqueue.streaming.subscriptions import MOST_BYTES, MOST_WAITING, Subscription, SubscriptionIndex
from tests.unit.event_log import event, job_ids
from tests.unit.virtual_time import in_virtual_time

NAMESPACES = ["default", "other"]
JOBS = job_ids(3)
TYPES = ["mail", "report", "job"]
# One that is also a type, a namespace and an event.
TAGS = ["a", "b", "mail", "default", "job:added"]
NAMES = [EventName.ADDED, EventName.FAILED, EventName.COMPLETED]


def _some(values: list[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    # With repetitions, as callers send them.
    return st.lists(st.sampled_from(values), max_size=3).map(tuple)


filters = st.builds(
    EventFilter,
    events=_some(NAMES),
    job_ids=_some(JOBS),
    job_types=_some(TYPES),
    tags=_some(TAGS),
    tag_mode=st.sampled_from(TagMode),
)
happenings = st.builds(
    event,
    st.integers(1, 100),
    namespace=st.sampled_from(NAMESPACES),
    event=st.sampled_from(NAMES),
    job_id=st.sampled_from(JOBS),
    job_type=st.sampled_from(TYPES),
    tags=st.lists(st.sampled_from(TAGS), max_size=4, unique=True).map(tuple),
)
acts = st.lists(
    st.one_of(
        happenings,
        st.tuples(st.sampled_from(NAMESPACES), filters),
        st.integers(0, 50),  # which of them leaves
    ),
    max_size=60,
)


def _asked_one_by_one(everybody: list[Subscription[Event]], happened: Event) -> set[Subscription[Event]]:
    return {one for one in everybody if one.namespace == happened.namespace and one.matching.matches(happened)}


@settings(deadline=None, max_examples=400)
@given(acts)
def test_an_event_finds_whom_asking_everybody_would_find_each_once(acts: list[Any]) -> None:
    index: SubscriptionIndex[Event] = SubscriptionIndex()
    everybody: list[Subscription[Event]] = []
    for act in acts:
        match act:
            case Event():
                hit = list(index.hit_by(act))
                assert len(hit) == len(set(hit))
                assert set(hit) == _asked_one_by_one(everybody, act)
            case (namespace, matching):
                everybody.append(Subscription(namespace, matching, after=0))
                index.add(everybody[-1])
            case int() if everybody:
                index.remove(everybody.pop(act % len(everybody)))
    for namespace in NAMESPACES:
        found = index.of(namespace)
        assert len(found) == len(set(found))
        assert set(found) == {one for one in everybody if one.namespace == namespace}
    assert len(index.of(*NAMESPACES)) == len(index) == len(everybody)
    for one in everybody:
        index.remove(one)
    assert not index._under, "whoever left is still there"


@pytest.mark.parametrize(
    ("mode", "had", "hit"),
    [
        (TagMode.ALL, ("b", "a", "x"), True),
        (TagMode.ALL, ("a",), False),
        (TagMode.ANY, ("b",), True),
        (TagMode.ANY, ("x",), False),
        (TagMode.EXACT, ("b", "a"), True),
        (TagMode.EXACT, ("a", "b", "x"), False),
        (TagMode.NONE, ("x",), True),
        (TagMode.NONE, (), True),
        (TagMode.NONE, ("x", "a"), False),
    ],
)
def test_tags_narrow_by_their_mode(mode: TagMode, had: tuple[str, ...], hit: bool) -> None:
    index: SubscriptionIndex[Event] = SubscriptionIndex()
    one: Subscription[Event] = Subscription("default", EventFilter(tags=("a", "b"), tag_mode=mode), after=0)
    index.add(one)
    assert list(index.hit_by(event(1, tags=had))) == ([one] if hit else [])


def test_a_narrow_subscriber_costs_nothing_to_events_of_others() -> None:
    asked = 0

    class Counting(EventFilter):
        def matches(self, event: Event) -> bool:
            nonlocal asked
            asked += 1
            return super().matches(event)

    index: SubscriptionIndex[Event] = SubscriptionIndex()
    jobs = job_ids(500)
    for job_id in jobs:
        index.add(Subscription("default", Counting(job_ids=(job_id,)), after=0))
    assert len(list(index.hit_by(event(1, job_id=jobs[7])))) == 1
    assert asked == 1


# What waits.


def waiting_for(after: int = 0) -> Subscription[Any]:
    return Subscription("default", EVERYTHING, after=after)


async def now(subscription: Subscription[Any]) -> list[Any]:
    """What waits, for who has no time."""
    return await subscription.take(within=0)


async def test_everything_is_taken_once_and_in_order() -> None:
    one = waiting_for()
    one.put(3, "three")
    one.put(5, "five")
    assert await now(one) == ["three", "five"]
    assert await now(one) == []
    one.put(6, "six")
    assert await now(one) == ["six"]
    assert one.after == 6


async def test_who_waits_is_woken_by_the_first_event() -> None:
    one = waiting_for()
    taking = asyncio.create_task(one.take(within=60))
    await asyncio.sleep(0)
    one.put(1, "first")
    one.put(2, "second")
    assert await taking == ["first", "second"]


async def test_a_position_that_the_subscriber_had_is_passed_over() -> None:
    one = waiting_for(after=7)
    for position in (6, 7):
        one.put(position, "before")
    one.put(8, "eight")
    one.put(8, "eight again")
    one.put(4, "long ago")
    assert await now(one) == ["eight"]
    assert one.after == 8


async def test_a_passed_over_event_wakes_nobody() -> None:
    one = waiting_for(after=7)
    one.put(7, "before")
    assert not one._woken.is_set()


async def test_a_thousand_events_may_wait_and_not_one_more() -> None:
    one = waiting_for()
    for position in range(1, MOST_WAITING + 1):
        one.put(position, position)
    assert not one.is_cut
    assert len(await now(one)) == MOST_WAITING == 1000
    for position in range(MOST_WAITING + 1, 2 * MOST_WAITING + 1):
        one.put(position, position)
    assert not one.is_cut, "what was taken does not wait any more"
    one.put(2 * MOST_WAITING + 1, "one too many")
    assert one.is_cut


async def test_a_mebibyte_may_wait_and_not_a_byte_more() -> None:
    one = waiting_for()
    for position in range(1, 5):
        one.put(position, b"x" * (MOST_BYTES // 4))
    assert not one.is_cut
    assert MOST_BYTES == 1 << 20
    await now(one)
    for position in range(5, 9):
        one.put(position, b"x" * (MOST_BYTES // 4))
    assert not one.is_cut, "what was taken does not wait any more"
    one.put(9, b"x")
    assert one.is_cut


async def test_what_waited_for_who_is_cut_off_is_let_go_and_nothing_is_handed_out_any_more() -> None:
    one = waiting_for()
    for position in range(1, MOST_WAITING + 2):
        one.put(position, position)
    assert one._waiting == []
    after = one.after
    one.put(after + 1, "late")
    assert one._waiting == []
    assert one.after == after
    assert await now(one) == await now(one) == []


async def test_who_waits_hears_at_once_of_being_cut_off() -> None:
    one = waiting_for()
    taking = asyncio.create_task(one.take(within=3600))
    await asyncio.sleep(0)
    one.cut()
    assert await asyncio.wait_for(taking, 5) == []
    assert one.is_cut


def test_time_that_is_up_as_something_comes_loses_nothing() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # The time is up in the same turn of the loop as the event comes: before it, after it, and just as it came.
        for number, offset in enumerate((-0.001, -1e-9, 0, 1e-9, 0.001), 1):
            for first in ("event", "timeout"):
                one = waiting_for()
                at = loop.time() + 1

                def put(one: Subscription[Any] = one) -> None:
                    one.put(1, "it")

                if first == "event":
                    loop.call_at(at + offset, put)
                taking = asyncio.create_task(one.take(within=1))
                await asyncio.sleep(0)
                if first == "timeout":
                    loop.call_at(at + offset, put)
                taken = await taking
                await asyncio.sleep(1)
                taken += await now(one)
                assert taken == ["it"], (number, first)

    in_virtual_time(main())


async def test_a_reader_that_leaves_while_it_waits_takes_nothing_along() -> None:
    one = waiting_for()
    taking = asyncio.create_task(one.take(within=60))
    await asyncio.sleep(0)
    one.put(1, "it")
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert await now(one) == ["it"]
