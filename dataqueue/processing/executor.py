"""Runs claimed jobs, each to its outcome."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Note
from dataqueue.handlers import Handler, HandlerRegistry
from dataqueue.outcome import Gone, Outcome, Released
from dataqueue.processing.attempt import attempt, attempt_sync, failed, timed_out
from dataqueue.processing.leases import Held, LeaseTable, Stop
from dataqueue.processing.local_work import Timekeeper
from dataqueue.processing.more_time import asked_for
from dataqueue.processing.threads import ThreadPool
from dataqueue.work import Work

log = structlog.get_logger(__name__)

GRACE: Final = 5.0
"""How long a handler that was told to stop may take before its job is settled without it."""
_TELL_AGAIN: Final = 1.0

Isolate = Callable[[ClaimedJob, Work], Awaitable[Outcome]]
WorkOf = Callable[[Held, Timekeeper, ThreadPool], Work]


class Executor:
    """Holds the slots. A job occupies one until its handler has really ended, whatever was reported before.

    `work_of` makes what a handler's context rests on; `report` takes what an attempt ended in; `isolate` runs a job in
    a process of its own that has crashed one before, or is to be killed when its time is up; `ended` is told of each
    handler that has ended, `freed` of each slot that becomes free.

    A handler that was told to stop has no say any more: what it returns then may be half of its work.
    """

    def __init__(
        self,
        *,
        handlers: HandlerRegistry,
        table: LeaseTable,
        concurrency: int,
        work_of: WorkOf,
        report: Callable[[Held, Outcome], None],
        freed: Callable[[], None],
        ended: Callable[[Held], None] = lambda _: None,
        isolate: Isolate | None = None,
        grace: float = GRACE,
    ) -> None:
        self._work_of = work_of
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
            held.work = work = self._work_of(held, self, self._threads)
            if self._isolate is not None and (job.crashes or job.force_kill_on_timeout):
                held.task = loop.create_task(self._run_isolated(held, work, self._isolate))
                continue
            if job.force_kill_on_timeout:
                log.warning("job.not_killable", job_id=str(job.id), job_type=job.job_type)
            if handler.is_async:
                held.task = loop.create_task(self._run(held, work, handler))
            else:
                self._run_in_thread(held, work, handler, loop)
            if job.timeout_ms is not None:
                held.timer = loop.call_later(job.timeout_ms / 1000, self._time_out, held)

    def prolong(self, held: Held, ms: int | None) -> None:
        """Let a job's time be up so many milliseconds from now; None: as many as it had at first."""
        ms = held.job.timeout_ms if ms is None else ms
        if held.timer is None or held.work is None or ms is None or not held.runs_undisturbed:
            return
        held.timer.cancel()
        held.timer = asyncio.get_running_loop().call_later(ms / 1000, self._time_out, held)
        held.work.note(Note(prolonged_ms=ms))

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

    async def _run(self, held: Held, work: Work, handler: Handler) -> None:
        began = perf_counter()
        outcome: Outcome = await attempt(handler, held.job, work)
        held.ran = perf_counter() - began
        task = held.task
        if held.stop is None and task is not None and task.cancelling():
            # Not by us: the loop is being torn down around the worker.
            outcome = Released()
        self._end(held, outcome)

    async def _run_isolated(self, held: Held, work: Work, isolate: Isolate) -> None:
        began = perf_counter()
        try:
            outcome = await isolate(held.job, work)
        except asyncio.CancelledError:
            outcome = Released()
        except Exception as error:
            log.exception("job.not_isolated", job_id=str(held.job.id))
            outcome = failed(error, held.job)
        held.ran = perf_counter() - began
        self._end(held, outcome)

    def _run_in_thread(self, held: Held, work: Work, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        context = contextvars.copy_context()

        def run() -> None:
            began = perf_counter()
            outcome = context.run(attempt_sync, handler, held.job, work)
            held.ran = perf_counter() - began
            # A worker that is gone needs no answer.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._end, held, outcome)

        self._threads.submit(run)

    def _time_out(self, held: Held) -> None:
        if held.on_timeout is not None and (more := asked_for(held.on_timeout, held.job)) is not None:
            self.prolong(held, more)
        elif self._table.tell(held, Stop.TIMED_OUT):
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
