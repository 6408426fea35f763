"""One attempt at a job in a process of its own, as the executor makes it in the worker's."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.handlers import Handler
from dataqueue.outcome import Outcome
from dataqueue.processing.attempt import attempt, attempt_sync, timed_out
from dataqueue.processing.calling import in_thread_of
from dataqueue.processing.more_time import asked_for
from dataqueue.processing.threads import ThreadPool
from dataqueue.work import OnTimeout
from workers.isolation.channel import Channel
from workers.isolation.child_work import ChildWork
from workers.isolation.messages import Prolonged

log = structlog.get_logger(__name__)

_TELL_AGAIN: Final = 1.0


class TimedAttempt:
    """Calls the handler, and tells it to stop when its time is up; then it has `grace` seconds to end.

    The time of a job that is to be killed is the worker's to keep. A plain function cannot be interrupted: it may look
    at `cancelled` in its context.
    """

    def __init__(
        self, job: ClaimedJob, handler: Handler, *, channel: Channel, threads: ThreadPool, grace: float
    ) -> None:
        self._job, self._handler, self._channel, self._threads = job, handler, channel, threads
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        self.work: Final = ChildWork(channel, self, threads)
        self._handling: asyncio.Task[Outcome] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._given_up: asyncio.Future[None] = self._loop.create_future()
        self._on_timeout: OnTimeout | None = None
        self._is_over = False

    @property
    def is_over(self) -> bool:
        return self._is_over

    async def outcome(self) -> Outcome:
        self._handling = self._loop.create_task(self._handle())
        if self._job.timeout_ms is not None and not self._job.force_kill_on_timeout:
            self._set_timer(self._job.timeout_ms)
        try:
            waits: tuple[asyncio.Future[Any], ...] = (self._handling, self._given_up)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if self._is_over:
            log.warning("job.timed_out", job_id=str(self._job.id), job_type=self._job.job_type)
            return timed_out(self._job)
        return self._handling.result()

    def prolong(self, ms: int | None) -> None:
        ms = self._job.timeout_ms if ms is None else ms
        if self._timer is None or ms is None or self._is_over:
            return
        self._timer.cancel()
        self._set_timer(ms)
        self._channel.send(Prolonged(ms))

    def ask_for_more(self, callback: OnTimeout) -> None:
        self._on_timeout = callback

    async def _handle(self) -> Outcome:
        if self._handler.is_async:
            return await attempt(self._handler, self._job, self.work)
        return await in_thread_of(self._threads, partial(attempt_sync, self._handler, self._job, self.work))

    def _set_timer(self, ms: int) -> None:
        self._timer = self._loop.call_later(ms / 1000, self._time_out)

    def _time_out(self) -> None:
        if self._on_timeout is not None and (more := asked_for(self._on_timeout, self._job)) is not None:
            self.prolong(more)
            return
        self._is_over = True
        self._tell(until=self._loop.time() + self._grace)

    def _tell(self, until: float) -> None:
        if self._loop.time() >= until:
            log.warning("job.ignores_cancel", job_id=str(self._job.id), job_type=self._job.job_type)
            self._given_up.set_result(None)
            return
        if self._handler.is_async and self._handling is not None:
            self._handling.cancel()
        self._timer = self._loop.call_later(min(_TELL_AGAIN, until - self._loop.time()), self._tell, until)
