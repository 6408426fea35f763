"""Runs claimed jobs, each to its outcome."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final

import structlog

from dataqueue.domain.job import ClaimedJob
from dataqueue.handlers import Handler, HandlerRegistry
from dataqueue.outcome import Gone, Outcome, Released
from dataqueue.processing.attempt import attempt, attempt_sync, failed, timed_out
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.processing.threads import ThreadPool

log = structlog.get_logger(__name__)

GRACE: Final = 5.0
"""How long a handler that was told to stop may take before its job is settled without it."""
_TELL_AGAIN: Final = 1.0


class Executor:
    """Holds the slots. A job occupies one until its handler has really ended, whatever was reported before.

    `report` takes what an attempt ended in; `isolate` runs a job that has crashed a process before; `ended` is told of
    each handler that has ended, `freed` of each slot that becomes free.

    A handler that was told to stop has no say any more: what it returns then may be half of its work.
    """

    def __init__(
        self,
        *,
        handlers: HandlerRegistry,
        table: LeaseTable,
        concurrency: int,
        report: Callable[[Held, Outcome], None],
        freed: Callable[[], None],
        ended: Callable[[Held], None] = lambda _: None,
        isolate: Callable[[ClaimedJob], Awaitable[Outcome]] | None = None,
        grace: float = GRACE,
    ) -> None:
        self._handlers, self._table, self._concurrency = handlers, table, concurrency
        self._report, self._freed, self._isolate, self._grace = report, freed, isolate, grace
        self._told_end = ended
        self._running: set[Held] = set()
        self._unsettled = 0
        self._threads = ThreadPool(name="handler")
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unsettled(self) -> int:
        """Jobs that run and have no outcome yet."""
        return self._unsettled

    @property
    def free(self) -> int:
        return self._concurrency - len(self._running)

    def start(self, claimed: Sequence[Held]) -> None:
        """Start the handlers of jobs that were claimed just now."""
        if not claimed:
            return
        self._idle.clear()
        self._running.update(claimed)
        self._unsettled += len(claimed)
        loop = asyncio.get_running_loop()
        for held in claimed:
            job = held.job
            handler = self._handlers[job.job_type]
            if job.crashes and self._isolate is not None:
                held.task = loop.create_task(self._run_isolated(held, self._isolate))
                continue
            if handler.is_async:
                held.task = loop.create_task(self._run(held, handler))
            else:
                self._run_in_thread(held, handler, loop)
            if job.timeout_ms is not None:
                held.timer = loop.call_later(job.timeout_ms / 1000, self._time_out, held)

    def give_back(self, claimed: Sequence[Held]) -> None:
        """Jobs that were claimed and shall not be started."""
        for held in claimed:
            held.settled = True
            self._report(held, Released())

    def interrupt(self, held: Held) -> None:
        """The handler has been told to stop in the table; see that it does."""
        if held.timer is not None:
            held.timer.cancel()
        loop = asyncio.get_running_loop()
        if held not in self._running:
            return
        if held.task is not None:
            # Soon and not now: a task that is cancelled before its first step never takes one, and never ends here.
            loop.call_soon(held.task.cancel)
            held.timer = loop.call_later(_TELL_AGAIN, self._tell_again, held, loop.time() + self._grace)
        elif held.stop is not Stop.RELEASED:
            # Nothing stops a thread. Who gives jobs back waits a while for it, and then settles what is left.
            self._settle_told(held)

    def interrupt_all(self) -> None:
        """Tell every handler that its job is given back."""
        for held in list(self._running):
            if self._table.tell(held, Stop.RELEASED):
                self.interrupt(held)

    def settle_all(self) -> None:
        """Settle whatever still runs: nobody waits for it any longer."""
        for held in list(self._running):
            self._table.tell(held, Stop.RELEASED)
            self._settle_told(held)

    async def idle(self) -> None:
        """Wait until no job is without an outcome. Handlers that were given up on may still run."""
        await self._idle.wait()

    def close(self) -> None:
        self._threads.close()

    async def _run(self, held: Held, handler: Handler) -> None:
        began = perf_counter()
        outcome: Outcome = await attempt(handler, held.job, held)
        held.ran = perf_counter() - began
        task = held.task
        if held.stop is None and task is not None and task.cancelling():
            # Not by us: the loop is being torn down around the worker.
            outcome = Released()
        self._end(held, outcome)

    async def _run_isolated(self, held: Held, isolate: Callable[[ClaimedJob], Awaitable[Outcome]]) -> None:
        began = perf_counter()
        try:
            outcome = await isolate(held.job)
        except asyncio.CancelledError:
            outcome = Released()
        except Exception as error:
            log.exception("job.not_isolated", job_id=str(held.job.id))
            outcome = failed(error, held.job)
        held.ran = perf_counter() - began
        self._end(held, outcome)

    def _run_in_thread(self, held: Held, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        context = contextvars.copy_context()

        def work() -> None:
            began = perf_counter()
            outcome = context.run(attempt_sync, handler, held.job, held)
            held.ran = perf_counter() - began
            # A worker that is gone needs no answer.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._end, held, outcome)

        self._threads.submit(work)

    def _time_out(self, held: Held) -> None:
        if self._table.tell(held, Stop.TIMED_OUT):
            self.interrupt(held)

    def _tell_again(self, held: Held, until: float) -> None:
        loop = asyncio.get_running_loop()
        if held not in self._running or held.task is None:
            return
        if loop.time() >= until:
            log.warning("job.ignores_cancel", job_id=str(held.job.id), job_type=held.job.job_type)
            self._settle_told(held)
            return
        held.task.cancel()
        held.timer = loop.call_later(_TELL_AGAIN, self._tell_again, held, until)

    def _end(self, held: Held, outcome: Outcome) -> None:
        """The handler has ended, and its slot is free."""
        self._running.discard(held)
        if held.timer is not None:
            held.timer.cancel()
        if held.stop is not None:
            self._settle_told(held)
        elif not held.settled:
            self._settle(held, outcome)
        self._told_end(held)
        self._freed()

    def _settle_told(self, held: Held) -> None:
        if held.settled:
            return
        match held.stop:
            case Stop.TIMED_OUT:
                log.warning("job.timed_out", job_id=str(held.job.id), job_type=held.job.job_type)
                self._settle(held, timed_out(held.job))
            case Stop.RELEASED:
                self._settle(held, Released())
            case _:
                self._settle(held, Gone())

    def _settle(self, held: Held, outcome: Outcome) -> None:
        held.settled = True
        self._unsettled -= 1
        if not self._unsettled:
            self._idle.set()
        self._report(held, outcome)
