"""Processes that have loaded the handlers and wait for a job that is to be killed when its time is up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.outcome import Outcome, Released
from dataqueue.processing.calling import in_thread_of
from dataqueue.processing.threads import ThreadPool
from dataqueue.work import Work
from workers.isolation.killable import Killable, Ran

log = structlog.get_logger(__name__)

MOST_JOBS: Final = 1000
"""Jobs of one process: what handlers leak has an end."""
_PATIENCE: Final = 1.0
_TRIES: Final = 3
_LAST_WORDS: Final = 8.0

T = TypeVar("T")


class WarmPool:
    """Keeps up to `size` processes, each started when a job first needs it, or in the place of one that was let go.

    A job takes one that is free, or the next that becomes free. When none does within a second, as all are at long
    jobs, more are started, and not kept: no job waits for another to end. `starting` bounds how many start at a time.
    """

    def __init__(self, command: Sequence[str], *, size: int, starting: asyncio.Semaphore, most_jobs: int) -> None:
        self._command, self._size, self._starting, self._most_jobs = tuple(command), size, starting, most_jobs
        self._threads = ThreadPool(name="isolation")
        self._idle: list[Killable] = []
        self._count, self._coming = 0, 0
        self._waiting: deque[asyncio.Future[Killable]] = deque()
        self._in_background: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def run(self, job: ClaimedJob, work: Work) -> Outcome:
        """Run a job in a process that others may have used. Cancelling this call kills it."""
        for _ in range(_TRIES):
            child = await self._take()
            ran = None
            try:
                ran = await self._with(child, partial(child.run, job, work.note))
            finally:
                self._put_back(child, ran)
            if ran is not None:
                return ran.outcome
        return Released()

    async def run_alone(self, job: ClaimedJob, work: Work) -> Outcome:
        """Run a job in a process that nobody has used, nor will. Cancelling this call kills it."""
        child = await self._start()
        ran = None
        try:
            ran = await self._with(child, partial(child.run, job, work.note))
        finally:
            self._later(self._let_go(child))
        return Released() if ran is None else ran.outcome

    async def close(self) -> None:
        """Let all processes run their shutdown hooks, and end."""
        self._is_closed = True
        while self._idle:
            self._later(self._let_go(self._idle.pop()))
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                # A start that is under way ends in one more to let go.
                while self._in_background:
                    await asyncio.wait(self._in_background)
        self._threads.close()

    async def _take(self) -> Killable:
        while self._idle:
            child = self._idle.pop()
            if not child.has_exited():
                return child
            self._forget(child)
        waiting: asyncio.Future[Killable] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if self._count < self._size:
            self._start_another()
        try:
            while not (await asyncio.wait({waiting}, timeout=_PATIENCE))[0]:
                if self._coming < min(self._size, len(self._waiting)):
                    self._start_another()
        except asyncio.CancelledError:
            if not waiting.cancel() and waiting.exception() is None:
                self._offer(waiting.result())
            raise
        return waiting.result()

    def _start_another(self) -> None:
        self._count += 1
        self._coming += 1
        self._later(self._bring())

    async def _bring(self) -> None:
        """Start a process for whoever waits; what keeps it from starting is told to one of them."""
        try:
            child = await self._start()
        except OSError as error:
            self._count -= 1
            if (waiting := self._next_in_line()) is not None:
                waiting.set_exception(error)
            else:
                log.warning("isolation.not_started", error=str(error))
        else:
            self._offer(child)
        finally:
            self._coming -= 1

    async def _start(self) -> Killable:
        async with self._starting:
            starting = asyncio.ensure_future(in_thread_of(self._threads, partial(Killable, self._command)))
            try:
                return await asyncio.shield(starting)
            except asyncio.CancelledError:
                starting.add_done_callback(self._end_of_no_use)
                raise

    def _end_of_no_use(self, started: asyncio.Future[Killable]) -> None:
        if not started.cancelled() and started.exception() is None:
            self._later(self._let_go(started.result()))

    async def _with(self, child: Killable, function: Callable[[], T]) -> T:
        running = asyncio.ensure_future(in_thread_of(self._threads, function))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            child.kill()
            # Nobody else may have it before its thread lets go, however often we are told.
            while not running.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({running})
            raise

    def _put_back(self, child: Killable, ran: Ran | None) -> None:
        """After a job. None: it was cut short, or the process was gone."""
        if ran is not None and ran.clean and child.jobs < self._most_jobs:
            self._offer(child)
        else:
            self._forget(child)

    def _offer(self, child: Killable) -> None:
        """To the next in line, one that is not fit too: it says why. Else it is kept, if there is room."""
        if (waiting := self._next_in_line()) is not None:
            waiting.set_result(child)
        elif child.is_fit and self._count <= self._size and not self._is_closed:
            self._idle.append(child)
        else:
            self._count -= 1
            self._later(self._let_go(child))

    def _next_in_line(self) -> asyncio.Future[Killable] | None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                return waiting
        return None

    def _forget(self, child: Killable) -> None:
        """Let it go, and another take its place."""
        self._count -= 1
        self._later(self._let_go(child))
        if child.is_fit and self._count < self._size and not self._is_closed:
            self._start_another()

    async def _let_go(self, child: Killable) -> None:
        await in_thread_of(self._threads, child.retire)

    def _later(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._in_background.add(task)
        task.add_done_callback(self._in_background.discard)
