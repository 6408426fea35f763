"""One look at the end of the log for all who follow it: who is told, when it looks, what it outlives."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from dataqueue.domain.events import EVERYTHING, Event, EventFilter
from dataqueue.errors import StorageUnavailable
from dataqueue.streaming import hub as hub_module
from dataqueue.streaming.subscriptions import MOST_WAITING, Subscription
from tests.unit.event_log import Told, event, events, hub_over, ids, look, running
from tests.unit.virtual_time import in_virtual_time


async def taken(subscription: Subscription[Any]) -> list[Any]:
    return await subscription.take(within=0)


# What is told.


async def test_an_event_is_told_once_to_each_whom_it_concerns_in_its_namespace() -> None:
    mail, report = event(1, job_type="mail"), event(2, job_type="report")
    elsewhere = event(3, "other", job_type="mail")
    hub = hub_over(Told(look(default=0, other=0), look(mail, report, elsewhere, default=3, other=3)))
    with hub.following("default"), hub.following("other"):
        await hub.tick()
        everything = hub.subscribe("default", EVERYTHING, after=0)
        mails = hub.subscribe("default", EventFilter(job_types=("mail", "mail", "x")), after=0)
        others = hub.subscribe("other", EVERYTHING, after=0)
        await hub.tick()
        assert await taken(everything) == [mail, report]
        assert await taken(mails) == [mail]
        assert await taken(others) == [elsewhere]
        assert hub.frontier("default") == hub.frontier("other") == 3


async def test_an_event_is_encoded_once_for_all_and_not_at_all_when_nobody_asks() -> None:
    encoded: list[int] = []

    def encode(event: Event) -> bytes:
        encoded.append(event.id)
        return b"%d" % event.id

    hub = hub_over(Told(look(default=0), look(*events(1, 2, 3), event(4, job_type="x"), default=4)), encode)
    with hub.following("default"):
        await hub.tick()
        many = [hub.subscribe("default", EventFilter(job_types=("mail",)), after=0) for _ in range(100)]
        await hub.tick()
        assert [await taken(one) for one in many] == [[b"1", b"2", b"3"]] * 100
    assert encoded == [1, 2, 3]
    assert hub.events_told == 3


async def test_who_has_left_is_told_nothing_and_leaves_nothing_behind() -> None:
    hub = hub_over(Told(look(default=0), look(*events(1), default=1)))
    with hub.following("default"):
        await hub.tick()
        leaving, staying = (hub.subscribe("default", EVERYTHING, after=0) for _ in range(2))
        hub.unsubscribe(leaving)
        await hub.tick()
        assert (await taken(leaving), ids(await taken(staying))) == ([], [1])
        hub.unsubscribe(staying)
        assert hub.followers == 1
    assert (hub.followers, hub.frontier("default"), dict(hub._followers), hub._index._under) == (0, None, {}, {})


async def test_the_frontier_is_known_while_somebody_follows() -> None:
    hub = hub_over(Told(look(default=5), then=look(default=9)))
    with hub.following("default"):
        assert hub.frontier("default") is None
        await hub.tick()
        with hub.following("default"):
            assert hub.frontier("default") == 5
        assert hub.frontier("default") == 5
    assert hub.frontier("default") is None
    await hub.tick()
    assert hub.frontier("default") is None, "nobody follows it"


async def test_who_leaves_and_comes_back_during_a_look_misses_nothing() -> None:
    tail = Told(look(default=0), look(*events(1, 2), default=2), look(*events(3), default=3))
    hub = hub_over(tail)
    with hub.following("default") as _:
        await hub.tick()
        ticking = asyncio.create_task(hub.tick())
        await asyncio.sleep(0)
    with hub.following("default"):
        assert hub.frontier("default") is None, "what is told meanwhile is not told to it"
        await ticking
        assert hub.frontier("default") == 2
        one = hub.subscribe("default", EVERYTHING, after=2)
        await hub.tick()
        assert ids(await taken(one)) == [3]


async def test_who_comes_while_events_are_being_told_begins_where_they_are() -> None:
    count = 4 * hub_module._IN_ONE_BREATH
    hub = hub_over(Told(look(default=0), look(*events(*range(1, count + 1)), default=count)))
    with hub.following("default"):
        await hub.tick()
        first = hub.subscribe("default", EVERYTHING, after=0)
        ticking = asyncio.create_task(hub.tick())
        came: list[tuple[int, Subscription[Event]]] = []
        while not ticking.done():
            await asyncio.sleep(0)
            frontier = hub.frontier("default")
            assert frontier is not None
            came.append((frontier, hub.subscribe("default", EVERYTHING, after=frontier)))
        assert len({frontier for frontier, _ in came}) > 3, "it never drew breath"
        for frontier, one in came:
            assert ids(await taken(one)) == list(range(frontier + 1, count + 1))
        assert ids(await taken(first)) == list(range(1, count + 1))


@pytest.mark.parametrize("size", [100, 10_000, 256_000])
async def test_a_reader_that_keeps_up_is_not_cut_off_by_however_much_comes_at_once(size: int) -> None:
    # As much as one look brings, of large events: together they are more than may wait.
    frame = b"x" * size
    hub = hub_over(Told(look(default=0), look(*events(*range(1, 1001)), default=1000)), lambda _: frame)
    with hub.following("default"):
        await hub.tick()
        one = hub.subscribe("default", EVERYTHING, after=0)

        async def read() -> int:
            count = 0
            while count < 1000 and not one.is_cut:
                count += len(await one.take(within=60))
            return count

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        await hub.tick()
        assert await reading == 1000
        assert hub.cut_off == 0


async def test_who_does_not_take_it_is_cut_off_alone_and_counted_once() -> None:
    many = [look(*events(*range(n, n + 500)), default=n + 499) for n in range(1, 2000, 500)]
    hub = hub_over(Told(look(default=0), *many))
    with hub.following("default"):
        await hub.tick()
        slow, fast = (hub.subscribe("default", EVERYTHING, after=0) for _ in range(2))
        for number in range(4):
            await hub.tick()
            assert slow.is_cut == (500 * (number + 1) > MOST_WAITING)
            assert len(await taken(fast)) == 500
        assert hub.cut_off == 1


async def test_a_log_that_went_back_cuts_off_its_followers_and_goes_on_from_there() -> None:
    hub = hub_over(Told(look(default=0, other=0), look(default=9, other=0), look(default=4, other=0)))
    with hub.following("default"), hub.following("other"), capture_logs() as logs:
        await hub.tick()
        lost = hub.subscribe("default", EVERYTHING, after=0)
        other = hub.subscribe("other", EVERYTHING, after=0)
        await hub.tick()
        assert not lost.is_cut
        await hub.tick()
        assert (lost.is_cut, other.is_cut) == (True, False)
        assert hub.frontier("default") == 4
    assert [entry["event"] for entry in logs] == ["events.log_went_back"]


async def test_an_event_that_cannot_be_told_is_no_event_that_nobody_hears_of_having_missed() -> None:
    def encode(event: Event) -> Event:
        if event.id == 2:
            raise ValueError("no words for it")
        return event

    hub = hub_over(
        Told(look(default=0, other=0), look(*events(1, 2, 3), default=3), look(*events(4), default=4)), encode
    )
    with hub.following("default"), hub.following("other"):
        await hub.tick()
        before, other = hub.subscribe("default", EVERYTHING, after=0), hub.subscribe("other", EVERYTHING, after=0)
        with pytest.raises(ValueError, match="no words"):
            await hub.tick()
        assert before.is_cut, "the third would come to it as if there were no second"
        assert not other.is_cut
        assert hub.frontier("default") == 3, "who comes now reads up to there"
        late = hub.subscribe("default", EVERYTHING, after=3)
        await hub.tick()
        assert ids(await taken(late)) == [4]


# Being caught up.


async def test_caught_up_is_a_look_that_began_after_the_call() -> None:
    hub = hub_over(Told(then=look(default=1)))
    with hub.following("default"):
        ticking = asyncio.create_task(hub.tick())
        await asyncio.sleep(0)
        asking = asyncio.create_task(hub.caught_up("default", within=60))
        await ticking
        await asyncio.sleep(0)
        assert not asking.done(), "that look had begun before"
        await hub.tick()
        assert await asking


@pytest.mark.parametrize(
    "first",
    [look(default=1, waits=True), look(event(1), default=1, more=True), StorageUnavailable("after it saw the end")],
    ids=["waits", "more", "failed"],
)
async def test_caught_up_is_no_look_that_goes_by_the_end_that_one_before_the_call_has_seen(
    first: Any,
) -> None:
    hub = hub_over(Told(look(default=0), first, then=look(default=2)))
    with hub.following("default"):
        await hub.tick()
        with suppress(StorageUnavailable):
            await hub.tick()
        asking = asyncio.create_task(hub.caught_up("default", within=60))
        await asyncio.sleep(0)
        await hub.tick()
        await asyncio.sleep(0)
        assert not asking.done(), "that look told of the end as the one before had seen it"
        await hub.tick()
        assert await asking


async def test_caught_up_needs_everything_told_and_the_namespace_known() -> None:
    hub = hub_over(
        Told(
            look(other=0), look(other=1, waits=True), look(other=2, more=True), look(other=3), look(default=3, other=3)
        )
    )
    with hub.following("default"):
        asking = asyncio.create_task(hub.caught_up("default", within=60))
        await asyncio.sleep(0)
        for _ in range(4):
            await hub.tick()
            await asyncio.sleep(0)
            assert not asking.done()
        await hub.tick()
        assert await asking


def test_caught_up_gives_up_when_the_time_is_up() -> None:
    async def main() -> None:
        tail = Told(then=look(waits=True))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                assert not await hub.caught_up("default", within=2)
                assert asyncio.get_running_loop().time() == pytest.approx(2)
                assert not await hub.knows("default", within=3)
                tail.then = look(default=7)
                assert await hub.knows("default", within=3)
                assert await hub.caught_up("default", within=3)

    in_virtual_time(main())


def test_a_thousand_who_ask_at_once_share_a_look() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(10)
                before = len(tail.at)
                asking = (hub.caught_up("default", within=60) for _ in range(1000))
                assert all(await asyncio.gather(*asking))
                assert len(tail.at) - before <= 2

    in_virtual_time(main())


def test_how_long_the_newest_are_held_back_is_told() -> None:
    async def main() -> None:
        waiting, free = look(default=1, waits=True), look(default=2)
        tail = Told(then=free)
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(5)
                assert hub.delay == 0
                tail.then = waiting
                await asyncio.sleep(90)
                assert hub.delay == pytest.approx(90, abs=1.1)
                tail.then = free
                await asyncio.sleep(1)
                assert hub.delay == 0

    in_virtual_time(main())
