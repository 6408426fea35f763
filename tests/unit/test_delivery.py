"""Reports are written together, again while the storage is away, and never after their lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest
import structlog

from dataqueue.domain.job import Lease, Reported
from dataqueue.errors import StorageNotReady, StorageRefused, StorageUnavailable
from dataqueue.processing import backoff
from dataqueue.processing.delivery import Delivery
from dataqueue.processing.leases import Held, LeaseTable
from tests.unit.claimed import a_claimed_job

Answer = Callable[[Sequence[Lease], Sequence[str]], Awaitable[Sequence[Reported]]]


class Desk:
    """A delivery whose writes a test answers."""

    def __init__(self, answer: Answer | None = None, *, lease: float = 30) -> None:
        self.table = LeaseTable(lease=lease)
        self.writes: list[list[str]] = []
        self.refused: list[Held] = []
        self._answer = answer
        self.delivery: Delivery[str] = Delivery(
            "complete", write=self._write, table=self.table, refused=self.refused.append, written=lambda _: None
        )

    def add(self, value: str, *, age: float = 0, size: int = 0) -> Held:
        [held] = self.table.take([a_claimed_job()], sent=time.monotonic() - age)
        held.settled = True
        self.delivery.add(held, value, size=size)
        return held

    async def _write(self, leases: Sequence[Lease], values: Sequence[str]) -> Sequence[Reported]:
        self.writes.append(list(values))
        await asyncio.sleep(0)
        return [Reported.OK] * len(leases) if self._answer is None else await self._answer(leases, values)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.001)


async def test_what_comes_during_a_write_goes_together_in_the_next() -> None:
    desk = Desk()
    for value in "abcd":
        desk.add(value)
        if value == "a":
            await asyncio.sleep(0)
    assert desk.delivery.waiting == 4
    await desk.delivery.settle()
    assert desk.writes == [["a"], ["b", "c", "d"]]
    assert (desk.delivery.waiting, len(desk.table), desk.delivery.written) == (0, 0, 4)


async def test_large_values_make_small_writes() -> None:
    desk = Desk()
    for value in "abcd":
        desk.add(value, size=2 << 20)
    await desk.delivery.settle()
    assert [len(write) for write in desk.writes] == [1, 1, 1, 1]


@pytest.mark.parametrize("error", [StorageUnavailable("gone"), StorageNotReady("not migrated"), RuntimeError("a bug")])
async def test_a_write_is_tried_again_until_it_succeeds(error: Exception) -> None:
    left = 5

    async def answer(leases: Sequence[Lease], values: Sequence[str]) -> Sequence[Reported]:
        nonlocal left
        left -= 1
        if left:
            raise error
        return [Reported.DUPLICATE] * len(leases)

    desk = Desk(answer)
    desk.add("a")
    await desk.delivery.settle()
    assert desk.writes == [["a"]] * 5
    assert (desk.delivery.written, desk.delivery.lost) == (1, 0)


async def test_a_report_is_sent_after_its_lease_too_and_the_storage_decides() -> None:
    """Nobody may have taken the job over: dropping the report would run it a second time for nothing."""
    left = 3

    async def answer(leases: Sequence[Lease], values: Sequence[str]) -> Sequence[Reported]:
        nonlocal left
        left -= 1
        if left:
            raise StorageUnavailable("gone")
        return [Reported.LOST if value == "taken over" else Reported.OK for value in values]

    desk = Desk(answer)
    desk.add("taken over", age=40)
    desk.add("still ours", age=40)
    await desk.delivery.settle()
    assert desk.writes == [["taken over", "still ours"]] * 3
    assert (desk.delivery.written, desk.delivery.lost, desk.delivery.waiting, len(desk.table)) == (2, 1, 0, 0)


async def test_a_report_the_storage_refuses_fails_alone() -> None:
    async def answer(leases: Sequence[Lease], values: Sequence[str]) -> Sequence[Reported]:
        if "bad" in values:
            raise StorageRefused("no such JSON")
        return [Reported.OK] * len(leases)

    desk = Desk(answer)
    held = [desk.add(value) for value in ("a", "b", "bad", "c", "d")]
    await desk.delivery.settle()
    assert desk.refused == [held[2]]
    assert desk.delivery.written == 4
    assert desk.delivery.waiting == 0


async def test_a_report_that_came_too_late_is_counted_and_logged_once() -> None:
    async def answer(leases: Sequence[Lease], values: Sequence[str]) -> Sequence[Reported]:
        return [Reported.LOST if value == "late" else Reported.OK for value in values]

    desk = Desk(answer)
    with structlog.testing.capture_logs() as lines:
        late, _ = desk.add("late"), desk.add("good")
        await desk.delivery.settle()
    assert desk.delivery.lost == 1
    assert [line["job_id"] for line in lines if line["event"] == "job.lost"] == [str(late.job.id)]
