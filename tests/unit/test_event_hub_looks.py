"""When the hub looks at the end of the log, how long it pauses, and what it outlives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from dataqueue.domain.events import EVERYTHING
from dataqueue.errors import DataQueueError, StorageNotReady, StorageUnavailable
from dataqueue.streaming import hub as hub_module
from tests.unit.event_log import ModelLog, ModelTail, Told, event, hub_over, ids, look, running
from tests.unit.virtual_time import in_virtual_time


def test_while_nobody_follows_it_only_moves_its_frontier_on_twice_a_minute() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        async with running(hub):
            hub.nudge()
            await asyncio.sleep(3601)
            assert len(tail.at) == 120
            assert set(tail.asked) == {frozenset()}
            with hub.following("default"):
                await asyncio.sleep(10)
            count = len(tail.at)
            assert count > 120
            hub.nudge()
            await asyncio.sleep(3601)
            # And the one that was on its way.
            assert 120 <= len(tail.at) - count <= 121
            assert set(tail.asked[count + 1 :]) == {frozenset()}

    in_virtual_time(main())


def test_pauses_grow_to_a_second_while_nothing_happens_and_shrink_when_something_does() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(60)
                pauses = [round(b - a, 6) for a, b in zip(tail.at, tail.at[1:], strict=False)]
                quiet = pauses[-10:]
                assert pauses == sorted(pauses)
                assert all(pause == pytest.approx(1, abs=0.02) for pause in quiet)
                assert len(tail.at) < 85
                count = len(tail.at)
                tail.looks = [look(event(2), default=2)]
                await asyncio.sleep(1.1)
                # Soon after the one that found something.
                found = tail.at[count:]
                assert found[1] - found[0] < 0.05

    in_virtual_time(main())


def test_a_nudge_cuts_a_pause_short() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                for _ in range(5):
                    await asyncio.sleep(30.3)
                    before = asyncio.get_running_loop().time()
                    hub.nudge()
                    await asyncio.sleep(0.01)
                    assert tail.at[-1] == pytest.approx(before, abs=0.001)

    in_virtual_time(main())


def test_who_comes_is_not_kept_waiting_by_a_pause() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1, other=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(30.3)
                with hub.following("other"):
                    assert await hub.knows("other", within=0.01)

    in_virtual_time(main())


def test_who_asks_while_a_transaction_is_waited_for_is_answered_soon_after_it_ends() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(30.3)
                tail.then = look(default=1, waits=True)
                await asyncio.sleep(1.2)
                asking = asyncio.create_task(hub.caught_up("default", within=60))
                await asyncio.sleep(0.3)
                # The next look tells of the end as it was before somebody asked. One more is needed, and no pause.
                tail.then = look(default=2)
                before = asyncio.get_running_loop().time()
                assert await asking
                assert asyncio.get_running_loop().time() - before < 0.25 + 2 * hub_module._LEAST_PAUSE

    in_virtual_time(main())


def test_nudges_without_end_do_not_make_it_look_without_end() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                for _ in range(10_000):
                    hub.nudge()
                    await asyncio.sleep(0.0001)
        assert len(tail.at) <= 1 / hub_module._LEAST_PAUSE + 3

    in_virtual_time(main())


def test_a_nudge_during_a_look_is_another_look() -> None:
    async def main() -> None:
        tail = Told(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(30)
                tail.during = hub.nudge
                hub.nudge()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                tail.during = lambda: None
                count = len(tail.at)
                await asyncio.sleep(0.02)
                assert len(tail.at) == count + 1

    in_virtual_time(main())


def test_what_there_is_more_of_is_had_without_a_pause() -> None:
    async def main() -> None:
        tail = Told(then=look(default=0))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(30)
                count = len(tail.at)
                tail.looks = [*(look(event(n), default=n, more=True) for n in range(1, 50)), look(default=50)]
                hub.nudge()
                await asyncio.sleep(0.001)
                assert tail.looks == []
                assert tail.at[count] == tail.at[-1]

    in_virtual_time(main())


def test_open_transactions_are_waited_for_longer_the_longer_they_last() -> None:
    async def main() -> None:
        tail = Told(then=look(default=0, waits=True))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(60)
        pauses = [round(b - a, 6) for a, b in zip(tail.at[1:], tail.at[2:], strict=False)]
        assert pauses == sorted(pauses)
        assert pauses[0] < 0.01
        assert pauses[-1] == pytest.approx(0.25)
        assert len(pauses) < 300

    in_virtual_time(main())


class Odd(Exception):
    """Nothing that anybody has thought of."""


@pytest.mark.parametrize("error", [StorageUnavailable("away"), StorageNotReady("not migrated"), Odd(), TimeoutError()])
def test_it_outlives_whatever_a_look_meets_and_tells_what_was_left(error: Exception) -> None:
    async def main() -> None:
        hub = hub_over(
            Told(look(), look(default=0), error, error, error, look(event(1), default=1), then=look(default=1))
        )
        with hub.following("default"), capture_logs() as logs:
            async with running(hub):
                assert await hub.knows("default", within=1)
                one = hub.subscribe("default", EVERYTHING, after=0)
                assert ids(await one.take(within=60)) == [1]
        said = [entry["event"] for entry in logs]
        assert said == ["events.not_read", "events.read_again"]
        assert bool(logs[0]["exc_info"]) == (not isinstance(error, DataQueueError))

    in_virtual_time(main())


def test_it_outlives_an_outage_of_days() -> None:
    async def main() -> None:
        class Away(Told):
            async def look(self, namespaces: Any, *, limit: int) -> Any:
                found = await super().look(namespaces, limit=limit)
                if asyncio.get_running_loop().time() < 7200:
                    raise StorageUnavailable("away")
                return found

        tail = Away(then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                await asyncio.sleep(7200)
                # Every two seconds at most, and at least half as often as every second.
                assert 3600 < len(tail.at) < 7300
                assert await hub.knows("default", within=3)

    in_virtual_time(main())


def test_an_outage_is_met_with_patience() -> None:
    async def main() -> None:
        tail = Told(*[StorageUnavailable("away")] * 5, then=look(default=1))
        hub = hub_over(tail)
        with hub.following("default"):
            async with running(hub):
                for _ in range(100):
                    hub.nudge()  # of others, who see the storage
                    await asyncio.sleep(0.001)
                assert len(tail.at) <= 2

    in_virtual_time(main())


def test_what_happened_while_nobody_followed_is_not_read_for_who_comes_then() -> None:
    async def main() -> None:
        async def turn() -> None:
            await asyncio.sleep(0)

        log = ModelLog(turn)
        tail = ModelTail(log)
        hub = hub_over(tail)
        async with running(hub):
            with hub.following("default"):
                assert await hub.caught_up("default", within=5)
            await asyncio.sleep(10)
            for _ in range(50_000):
                log.commit(log.draw("default"))
            with hub.following("default"):
                assert await hub.caught_up("default", within=5)
                assert hub.frontier("default") == 50_000
                one = hub.subscribe("default", EVERYTHING, after=50_000)
                log.commit(log.draw("default"))
                assert ids(await one.take(within=5)) == [50_001]
        assert tail.read == 1

    in_virtual_time(main())
