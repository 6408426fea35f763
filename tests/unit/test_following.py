"""A follower's way from what it has missed to what happens: nothing missed, nothing twice, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

import pytest

from dataqueue.domain.events import EVERYTHING, EventFilter
from dataqueue.errors import PositionExpired, StorageUnavailable
from dataqueue.storage.answers import EventPage
from dataqueue.streaming.following import Delivery, FellBehind, check_position, follow, position_now
from dataqueue.streaming.hub import EventHub
from dataqueue.streaming.subscriptions import MOST_WAITING
from tests.unit.event_log import ModelLog, ModelTail, Told, as_it_is, event, events, hub_over, ids, look
from tests.unit.virtual_time import in_virtual_time

ODD: Final = EventFilter(job_types=("odd",))


async def at_once() -> None:
    await asyncio.sleep(0)


def happen(log: ModelLog, *namespaces: str, **fields: Any) -> None:
    """An event in each namespace, committed."""
    for namespace in namespaces:
        log.commit(log.draw(namespace, **fields))


def following(hub: EventHub[Any], log: ModelLog, **given: Any) -> Any:
    return follow(hub, log.of("default"), "default", given.pop("matching", EVERYTHING), encode=as_it_is, **given)


@asynccontextmanager
async def looked_at(hub: EventHub[Any]) -> AsyncIterator[None]:
    loop = asyncio.create_task(hub.run())
    try:
        with hub.following("default"):
            yield
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def heard(deliveries: Any, count: int) -> list[int]:
    """Ids of the first so many."""
    found: list[int] = []
    while len(found) < count:
        found += ids((await anext(deliveries)).items)
    return found


async def until_quiet(deliveries: Any) -> list[int]:
    """Ids of all until there is nothing for a while."""
    found: list[int] = []
    while items := (await anext(deliveries)).items:
        found += ids(items)
    return found


# Where to begin.


def test_now_is_the_end_of_the_log_as_it_is_when_asked() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        happen(log, "default", "other")
        async with looked_at(hub):
            assert await position_now(hub, log.of("default"), "default") == 2
            happen(log, *["other"] * 7)
            assert await position_now(hub, log.of("default"), "default") == 9

    in_virtual_time(main())


def test_now_is_the_end_as_drawn_while_a_transaction_has_kept_the_log_from_ever_being_read() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(Told(then=look(waits=True)))
        happen(log, "default")
        log.draw("other")
        happen(log, "default")
        async with looked_at(hub):
            assert await position_now(hub, log.of("default"), "default") == 3
            assert asyncio.get_running_loop().time() < 2

    in_virtual_time(main())


def test_now_is_as_far_as_the_log_could_be_read_so_that_nothing_is_left_out() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        happen(log, "default")
        async with looked_at(hub):
            await hub.caught_up("default", within=1)
            theirs = log.draw("default")
            happen(log, "default")
            assert await position_now(hub, log.of("default"), "default") == theirs - 1

    in_virtual_time(main())


@pytest.mark.parametrize(("position", "good"), [(4, False), (5, True), (8, True), (9, False), (10**18 - 1, False)])
async def test_a_position_is_good_from_what_is_kept_to_what_was_drawn(position: int, good: bool) -> None:
    log = ModelLog(at_once)
    log.dropped_to, log.drawn = 5, 8
    hub = hub_over(Told())
    if good:
        await check_position(hub, log.of("default"), "default", position)
    else:
        with pytest.raises(PositionExpired):
            await check_position(hub, log.of("default"), "default", position)


# The way.


def test_the_backlog_comes_first_in_pages_and_then_what_happens() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        for number in range(1300):
            happen(log, "default" if number % 2 else "other")
        async with looked_at(hub), aclosing(following(hub, log, after=4, quiet=1000)) as deliveries:
            found = await heard(deliveries, 648)
            assert found == list(range(6, 1301, 2))
            happen(log, "default", "other", "default")
            assert await heard(deliveries, 2) == [1301, 1303]

    in_virtual_time(main())


def test_a_backlog_without_a_match_still_gives_signs_of_life_with_a_place() -> None:
    async def main() -> None:
        async def slow() -> None:
            await asyncio.sleep(0.5)

        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        happen(log, *["default"] * 700)
        async with looked_at(hub):
            assert await hub.knows("default", within=5)
            log.turn = slow  # two of them a page, of seven events
            async with aclosing(following(hub, log, after=0, quiet=15, matching=ODD)) as deliveries:
                said = [await anext(deliveries) for _ in range(4)]
                assert [delivery.items for delivery in said] == [[]] * 4
                assert [delivery.position for delivery in said] == [105, 210, 315, 420]

    in_virtual_time(main())


def test_what_is_quiet_says_so_with_the_position_up_to_which_there_is_nothing() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        async with looked_at(hub), aclosing(following(hub, log, after=0, quiet=15, matching=ODD)) as deliveries:
            happen(log, *["default"] * 30)
            assert await anext(deliveries) == Delivery([], 30)
            assert asyncio.get_running_loop().time() == pytest.approx(15, abs=0.1)
            happen(log, "default")
            open_one = log.draw("default", job_type="odd")
            happen(log, "default", "default")
            # 33 and 34 cannot be said to be all: 32 may still come.
            assert await anext(deliveries) == Delivery([], 31)
            log.commit(open_one)
            assert ids((await anext(deliveries)).items) == [32]
            assert await anext(deliveries) == Delivery([], 34)

    in_virtual_time(main())


def test_who_comes_before_anything_is_known_gets_signs_of_life_and_then_everything() -> None:
    async def main() -> None:
        class Waiting(ModelTail):
            async def look(self, namespaces: Any, *, limit: int) -> Any:
                if asyncio.get_running_loop().time() < 40:
                    return look(waits=True)
                return await super().look(namespaces, limit=limit)

        log = ModelLog(at_once)
        hub = hub_over(Waiting(log))
        happen(log, "default", "default")
        async with looked_at(hub), aclosing(following(hub, log, after=1, quiet=15)) as deliveries:
            assert await anext(deliveries) == Delivery([], 1)
            assert await anext(deliveries) == Delivery([], 1)
            assert ids((await anext(deliveries)).items) == [2]

    in_virtual_time(main())


def test_a_position_ahead_of_this_process_is_waited_for_and_passed_over() -> None:
    async def main() -> None:
        twice = look(*events(11, 12), default=12), look(*events(13, 15), default=15)
        hub = hub_over(Told(look(), look(default=10), *twice, then=look(default=15)))
        async with looked_at(hub), aclosing(following(hub, ModelLog(at_once), after=13, quiet=15)) as deliveries:
            delivery = await anext(deliveries)
            assert (ids(delivery.items), delivery.position) == ([15], 15)

    in_virtual_time(main())


def test_a_quiet_follower_ahead_of_this_process_never_goes_back() -> None:
    async def main() -> None:
        hub = hub_over(Told(then=look(default=10)))
        async with looked_at(hub), aclosing(following(hub, ModelLog(at_once), after=13, quiet=15)) as deliveries:
            assert await anext(deliveries) == Delivery([], 13)

    in_virtual_time(main())


def test_a_log_that_goes_back_cuts_off_who_follows_it() -> None:
    async def main() -> None:
        tail = Told(then=look(default=10))
        hub = hub_over(tail)
        async with looked_at(hub), aclosing(following(hub, ModelLog(at_once), after=10, quiet=15)) as deliveries:
            assert await anext(deliveries) == Delivery([], 10)
            tail.then = look(default=4)
            with pytest.raises(FellBehind):
                await anext(deliveries)

    in_virtual_time(main())


def test_a_log_that_goes_back_cuts_off_who_has_not_yet_read_what_it_missed() -> None:
    async def main() -> None:
        tail = Told(then=look(default=20))
        hub = hub_over(tail)
        log = ModelLog(at_once)
        happen(log, *["default"] * 20)
        async with looked_at(hub), aclosing(following(hub, log, after=0, quiet=15)) as deliveries:
            assert ids((await anext(deliveries)).items) == list(range(1, 8))
            tail.then = look(default=4)
            hub.nudge()
            await asyncio.sleep(1)
            with pytest.raises(FellBehind):
                await anext(deliveries)

    in_virtual_time(main())


def test_who_does_not_take_what_there_is_falls_behind_and_finds_it_in_the_log() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        async with looked_at(hub):
            deliveries = following(hub, log, after=0, quiet=15)
            happen(log, "default")
            # Once it is quiet it has come to where things happen.
            while (last := await anext(deliveries)).items:
                pass
            for _ in range(3):
                happen(log, *["default"] * (MOST_WAITING // 2))
                await asyncio.sleep(5)
            with pytest.raises(FellBehind):
                await anext(deliveries)
            async with aclosing(following(hub, log, after=last.position, quiet=15)) as again:
                assert await heard(again, 1500) == list(range(2, 1502))

    in_virtual_time(main())


def test_what_is_removed_before_it_was_read_ends_the_way() -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        happen(log, *["default"] * 20)
        async with looked_at(hub), aclosing(following(hub, log, after=0, quiet=15)) as deliveries:
            assert ids((await anext(deliveries)).items) == list(range(1, 8))
            log.dropped_to = 18
            with pytest.raises(PositionExpired):
                await anext(deliveries)

    in_virtual_time(main())


def test_an_outage_of_the_tail_ends_nobodys_way() -> None:
    async def main() -> None:
        log = ModelLog(at_once)

        class Away(ModelTail):
            async def look(self, namespaces: Any, *, limit: int) -> Any:
                if 20 < asyncio.get_running_loop().time() < 100:
                    raise StorageUnavailable("away")
                return await super().look(namespaces, limit=limit)

        hub = hub_over(Away(log))
        async with looked_at(hub), aclosing(following(hub, log, after=0, quiet=15)) as deliveries:
            happen(log, "default")
            assert await heard(deliveries, 1) == [1]
            await asyncio.sleep(30)
            happen(log, "default", "default")
            assert await heard(deliveries, 2) == [2, 3]
            assert asyncio.get_running_loop().time() == pytest.approx(101, abs=2)

    in_virtual_time(main())


def _begin(deliveries: Any) -> Any:
    return anext(deliveries)


async def _close(deliveries: Any, reading: asyncio.Task[Any]) -> None:
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await deliveries.aclose()


@pytest.mark.parametrize("when", ["before anything", "while it waits", "between deliveries"])
def test_whoever_leaves_leaves_nothing_behind(when: str) -> None:
    async def main() -> None:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        async with looked_at(hub):
            deliveries = following(hub, log, after=0, quiet=15)
            if when != "before anything":
                reading = asyncio.create_task(_begin(deliveries))
                await asyncio.sleep(1)
                assert len(hub._index.of("default")) == 1
                if when == "between deliveries":
                    happen(log, "default")
                    await asyncio.sleep(2)
                    assert reading.done()
                await _close(deliveries, reading)
            else:
                await deliveries.aclose()
            assert not hub._index._under

    in_virtual_time(main())


def test_what_happens_between_the_last_page_and_the_first_event_is_not_missed() -> None:
    """At each await of a page, by turns, the log grows and is told on: whichever it is, the way has no gap."""

    async def main(grows_at: int) -> bool:
        log = ModelLog(at_once)
        hub = hub_over(ModelTail(log))
        turns = 0

        async def turn() -> None:
            nonlocal turns
            turns += 1
            if turns in (grows_at, grows_at + 1):
                log.turn = at_once
                happen(log, "default", "other", "default")
                await hub.tick()
                log.turn = turn

        with hub.following("default"):
            happen(log, *["default"] * 16)
            await hub.tick()
            log.turn = turn
            async with aclosing(following(hub, log, after=0, quiet=15)) as deliveries:
                found = await until_quiet(deliveries)
                log.turn = at_once
                happen(log, "default")
                await hub.tick()
                found += await until_quiet(deliveries)
        assert found == ids(log.between({"default"}, 0, log.drawn))
        return log.drawn > 17

    grown = [in_virtual_time(main(grows_at)) for grows_at in range(1, 10)]
    assert grown == sorted(grown, reverse=True)
    assert grown.count(True) > 5


async def test_a_page_may_look_through_a_stretch_and_find_nothing() -> None:
    found: list[tuple[int, int]] = []

    class Sparse:
        async def page(self, matching: EventFilter, *, after: int, until: int, limit: int) -> EventPage:
            found.append((after, until))
            return EventPage([event(95)] if after == 90 else [], min(after + 10, until))

    hub = hub_over(Told(look(default=100)))
    with hub.following("default"):
        await hub.tick()
        log: Callable[..., Any] = Sparse
        deliveries = follow(hub, log(), "default", ODD, after=0, encode=as_it_is, quiet=60)
        async with aclosing(deliveries):
            assert await anext(deliveries) == Delivery([event(95)], 100)
    assert found == [(after, 100) for after in range(0, 100, 10)]
