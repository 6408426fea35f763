"""Runs jobs in processes of their own: those that have crashed one before, so that nobody else is blamed, or hurt, when
they do it again; and those that are to be killed when their time is up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.outcome import Crashed, Outcome, Released
from dataqueue.processing.calling import in_thread_of
from dataqueue.processing.executor import GRACE
from dataqueue.processing.threads import ThreadPool
from dataqueue.work import Work
from workers.isolation.conversation import Conversation, log_crash
from workers.isolation.job_process import JobProcess
from workers.isolation.warm_pool import MOST_JOBS, WarmPool
from workers.spawning import python_module

log = structlog.get_logger(__name__)

CORES: Final = os.cpu_count() or 1


class Isolation:
    """`await isolation(job, work)`: the job's outcome, in a process where no other job is.

    A job that has crashed gets a fresh one; without a crash, one that waits for jobs (`WarmPool`). Starting one is a
    second of a core's work at worst (the handlers are imported anew), so only as many start at a time as there are
    cores; the others wait, their leases kept by the heartbeat.
    """

    def __init__(
        self,
        modules: Sequence[str],
        *,
        warm: int = CORES,
        most_jobs: int = MOST_JOBS,
        command: Sequence[str] | None = None,
        grace: float = GRACE,
    ) -> None:
        """`modules`: those that hold the handlers; each process imports them anew. `warm`: processes that are kept,
        each for at most `most_jobs`."""
        self._command = tuple(command or python_module("workers.isolation.isolated", *modules))
        self._grace = grace
        self._starting = asyncio.Semaphore(CORES)
        self._threads = ThreadPool(name="isolation")
        self._pool = WarmPool(self._command, size=warm, most_jobs=most_jobs, starting=self._starting)

    async def __call__(self, job: ClaimedJob, work: Work) -> Outcome:
        """Run the job to its outcome. Cancelling this call kills the job's process and what it started."""
        try:
            if not job.force_kill_on_timeout:
                return await self._run_alone(job, work)
            return await (self._pool.run_alone(job, work) if job.crashes else self._pool.run(job, work))
        except OSError as error:
            log.warning("isolation.not_started", job_id=str(job.id), error=str(error))
            return Released()

    async def close(self) -> None:
        """End the processes that wait for jobs."""
        await self._pool.close()
        self._threads.close()

    async def _run_alone(self, job: ClaimedJob, work: Work) -> Outcome:
        async with AsyncExitStack() as stack:
            async with self._starting:
                process = await stack.enter_async_context(self._process())
                talk = await stack.enter_async_context(
                    Conversation.open(process, job=job, work=work, grace=self._grace)
                )
                outcome = await talk.start()
            if outcome is None:
                outcome = await talk.outcome()
            if isinstance(outcome, Crashed):
                log_crash(job, await self._end(process))
            elif talk.has_ended:
                await talk.retire()
            return outcome

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[JobProcess]:
        starting = asyncio.ensure_future(in_thread_of(self._threads, partial(JobProcess, self._command)))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait({starting})
            if starting.exception() is None:
                await self._end(starting.result())
            raise
        try:
            yield process
        finally:
            await self._end(process)

    async def _end(self, process: JobProcess) -> int:
        # In a thread: a process with much memory takes its time to go.
        return await asyncio.shield(asyncio.ensure_future(in_thread_of(self._threads, process.end)))
