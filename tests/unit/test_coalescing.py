"""One write for many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dataqueue.coalescing import Coalescer


class Gate:
    """A write that waits until it is let through, and answers each item with its double."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._open = asyncio.Semaphore(0)
        self.at_once = self.most_at_once = 0

    async def write(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self._open.acquire()
        self.at_once -= 1
        return [ValueError(f"{item} is bad") if item < 0 else 2 * item for item in items]

    def let(self, writes: int) -> None:
        for _ in range(writes):
            self._open.release()

    async def busy(self, writes: int) -> None:
        """Until so many writes have begun."""
        for _ in range(100):
            if len(self.batches) >= writes:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"only {len(self.batches)} writes began")


async def test_an_idle_coalescer_writes_at_once() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    answer = coalescer.submit(1)
    await gate.busy(1)
    assert gate.batches == [[1]]
    gate.let(1)
    assert await answer == 2


async def test_what_arrives_while_a_write_is_in_flight_goes_together_in_the_next_in_its_order() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    first = coalescer.submit(1)
    await gate.busy(1)
    rest = [coalescer.submit(item) for item in (5, 3, 4)]
    gate.let(1)
    assert await first == 2
    await gate.busy(2)
    late = coalescer.submit(9)
    gate.let(2)
    assert await asyncio.gather(*rest, late) == [10, 6, 8, 18]
    assert gate.batches == [[1], [5, 3, 4], [9]]


async def test_items_submitted_in_one_breath_go_together() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    answers = [coalescer.submit(item) for item in range(5)]
    gate.let(1)
    assert await asyncio.gather(*answers) == [0, 2, 4, 6, 8]
    assert gate.batches == [[0, 1, 2, 3, 4]]


async def test_a_write_takes_no_more_than_its_limit_by_weight() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10, weight=lambda item: item)
    answers = [coalescer.submit(item) for item in (4, 6, 1, 10, 25, 3, 3)]
    gate.let(10)
    assert await asyncio.gather(*answers) == [8, 12, 2, 20, 50, 6, 6]
    assert gate.batches == [[4, 6], [1], [10], [25], [3, 3]]


async def test_as_many_writes_are_in_flight_as_there_are_writers_and_no_more() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=1, writers=3)
    answers = [coalescer.submit(item) for item in range(8)]
    await gate.busy(3)
    assert gate.batches == [[0], [1], [2]]
    gate.let(8)
    assert await asyncio.gather(*answers) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert gate.most_at_once == 3


async def test_a_bad_item_fails_alone() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    good, bad, also_good = (coalescer.submit(item) for item in (1, -1, 2))
    gate.let(1)
    assert (await good, await also_good) == (2, 4)
    with pytest.raises(ValueError, match="-1 is bad"):
        await bad


async def test_what_a_write_raises_is_every_callers_and_the_next_write_goes_on() -> None:
    broken = True

    async def write(items: Sequence[int]) -> list[int | Exception]:
        if broken:
            raise OSError("the wire is cut")
        return list(items)

    coalescer: Coalescer[int, int] = Coalescer(write, most=10)
    failed = await asyncio.gather(*(coalescer.submit(item) for item in range(3)), return_exceptions=True)
    assert [str(error) for error in failed] == ["the wire is cut"] * 3
    broken = False
    assert await coalescer.submit(7) == 7


async def test_a_caller_who_leaves_cancels_nothing() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    leaving, staying = coalescer.submit(1), coalescer.submit(2)
    await gate.busy(1)
    waiting = coalescer.submit(3)
    leaving.cancel()
    waiting.cancel()
    gate.let(2)
    assert await staying == 4
    await coalescer.settle()
    assert gate.batches == [[1, 2], [3]]


async def test_a_task_that_is_cancelled_while_it_waits_takes_no_one_with_it() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)

    async def call(item: int) -> int:
        return await coalescer.submit(item)

    leaving, staying = asyncio.create_task(call(1)), asyncio.create_task(call(2))
    await gate.busy(1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate.let(1)
    assert await staying == 4


async def test_settling_waits_for_everything_that_was_handed_in() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=1)
    answers = [coalescer.submit(item) for item in range(3)]
    settling = asyncio.create_task(coalescer.settle())
    for written in range(1, 4):
        await gate.busy(written)
        assert not settling.done()
        gate.let(1)
    await settling
    assert all(answer.done() for answer in answers)


async def test_settling_an_idle_coalescer_returns() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=1)
    await asyncio.wait_for(coalescer.settle(), 1)


async def test_a_caller_who_comes_back_as_soon_as_it_was_served_is_served_again() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    gate.let(3)
    async with asyncio.timeout(5):  # around all of them: waiting for each by itself would give way to the loop
        for item in range(3):
            assert await coalescer.submit(item) == 2 * item


async def test_after_everyone_was_served_the_next_caller_is_served_again() -> None:
    gate = Gate()
    coalescer: Coalescer[int, int] = Coalescer(gate.write, most=10)
    gate.let(3)
    for item in range(3):
        assert await coalescer.submit(item) == 2 * item
        await coalescer.settle()
    assert gate.batches == [[0], [1], [2]]
