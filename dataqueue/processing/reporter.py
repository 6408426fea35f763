"""From what an attempt ended in to the write that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from dataqueue.domain.job import Failure, Json, Lease, Reported
from dataqueue.domain.steps import Wait
from dataqueue.outcome import Completed, Crashed, Failed, Gone, Outcome, Released, Suspended
from dataqueue.processing.delivery import Delivery
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.processing.observing import Observer
from dataqueue.storage.port import JobStore

_REFUSED: Final = Failure("the storage refused the output", type="StorageRefused")
_WAIT_REFUSED: Final = Failure("the storage refused the wait", type="StorageRefused")


class Reporter:
    """One delivery for each verb. `ended` is told after each write, `given_back` what was released, `suspended` when
    jobs wait whose waits may be over already.

    `expect` is told in how many seconds a retry or a wait is to be made ready, `observer` what was kept.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        table: LeaseTable,
        ended: Callable[[], None],
        given_back: Callable[[list[Held]], None],
        suspended: Callable[[], None] = lambda: None,
        expect: Callable[[float], None] = lambda _: None,
        observer: Observer | None = None,
    ) -> None:
        async def abandon(leases: Sequence[Lease], _: Sequence[None]) -> list[Reported]:
            await jobs.abandon(leases)
            return [Reported.OK] * len(leases)

        def forget(held: Held) -> None:
            table.drop([held])

        self._table, self._expect, self._ended, self._given_back = table, expect, ended, given_back
        self._told_lost = told_lost = _ignore if observer is None else observer.lost
        troubled = _reporting(observer)
        self._ready_at_once: set[Held] = set()
        self.completing: Delivery[Json | None] = Delivery(
            "complete",
            write=lambda leases, outputs: jobs.complete(leases, outputs=outputs),
            table=table,
            refused=lambda held: self.report(held, Failed(_REFUSED)),
            written=lambda _: ended(),
            told=None if observer is None else observer.completed,
            told_lost=told_lost,
            troubled=troubled,
        )
        self.failing: Delivery[Failure] = Delivery(
            "fail",
            write=lambda leases, failures: jobs.fail(leases, failures=failures),
            table=table,
            refused=forget,
            written=self._failed,
            told=None if observer is None else observer.failed,
            told_lost=told_lost,
            troubled=troubled,
        )
        self.suspending: Delivery[tuple[Wait, ...]] = Delivery(
            "suspend",
            write=lambda leases, waits: jobs.suspend(leases, waits=waits),
            table=table,
            refused=lambda held: self.report(held, Failed(_WAIT_REFUSED)),
            written=lambda _: suspended(),
            told=None if observer is None else observer.suspended,
            told_lost=told_lost,
            troubled=troubled,
        )
        self.releasing: Delivery[None] = Delivery(
            "release",
            write=lambda leases, _: jobs.release(leases),
            table=table,
            refused=forget,
            written=given_back,
            told=None if observer is None else _without_value(observer.released),
            told_lost=told_lost,
            troubled=troubled,
        )
        self.abandoning: Delivery[None] = Delivery(
            "abandon",
            write=abandon,
            table=table,
            refused=forget,
            written=_ignore,
            told=None if observer is None else _without_value(observer.crashed),
            troubled=troubled,
        )
        self._all: Final = (self.completing, self.failing, self.suspending, self.releasing, self.abandoning)

    @property
    def waiting(self) -> int:
        """How much waits to be written, in jobs; a large output counts as several."""
        return sum(delivery.waiting for delivery in self._all)

    @property
    def lost(self) -> int:
        """Outcomes that came too late: somebody else has, or had, the job."""
        return sum(delivery.lost for delivery in self._all)

    def report(self, held: Held, outcome: Outcome) -> None:
        """Hand in an outcome; returns at once."""
        match outcome:
            case Completed(output):
                self.completing.add(held, output, size=0 if output is None else len(output))
            case Failed(failure):
                self.failing.add(held, failure, size=len(failure.message))
                if failure.retry_after is not None and not failure.retry_after:
                    self._ready_at_once.add(held)
                elif failure.retry_after is not None:
                    self._expect(failure.retry_after.total_seconds())
            case Suspended(waits):
                self.suspending.add(held, waits, size=sum(len(wait.name) for wait in waits))
                for seconds in _ends(waits):
                    self._expect(seconds)
            case Released():
                self.releasing.add(held, None)
            case Crashed():
                self.abandoning.add(held, None)
            case Gone():
                self._table.drop([held])
                if held.stop is Stop.LOST:
                    self._told_lost(held)

    def _failed(self, done: list[Held]) -> None:
        self._ended()
        if ready := [held for held in done if held in self._ready_at_once]:
            self._ready_at_once.difference_update(ready)
            self._given_back(ready)

    async def settle(self) -> None:
        """Wait until everything handed in has been written or given up."""
        for delivery in self._all:
            await delivery.settle()


def _ends(waits: Sequence[Wait]) -> list[float]:
    """In how many seconds waits end, by this machine's clock: it decides nothing."""
    delays = [wait.delay for wait in waits if wait.delay is not None]
    delays += [wait.until - datetime.now(UTC) for wait in waits if wait.until is not None]
    return [delay.total_seconds() for delay in delays]


def _reporting(observer: Observer | None) -> Callable[[Exception], None]:
    return (lambda _: None) if observer is None else partial(observer.troubled, source="reporting")


def _without_value(tell: Callable[[Held], None]) -> Callable[[Held, None], None]:
    return lambda held, _: tell(held)


def _ignore(_: object) -> None:
    """Nobody wants to know."""
