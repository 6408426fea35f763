"""A job in a process of its own whose handler may ask for all that a handler in the worker can ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.outcome import Crashed, Outcome
from dataqueue.processing.attempt import failed, timed_out
from dataqueue.work import Work
from workers.child import exit_of
from workers.isolation.channel import HOOKS
from workers.isolation.job_process import AFTER_EXIT, LARGEST_LINE, LONGEST_START, TICK, JobProcess
from workers.isolation.messages import Ended, FromWorker, Prolonged, Ready, Run, Started, from_line, to_line
from workers.isolation.serving_work import ServedWork

log = structlog.get_logger(__name__)

_SLACK: Final = 0.5
"""What a child that minds its time may be late by."""


class Conversation:
    """With one process, about one job. On the loop; `open` makes one.

    The child keeps the job's time, and tells when it is prolonged. One that does not end by itself is killed by whoever
    made the process, once `outcome` has given up on it.
    """

    def __init__(
        self,
        process: JobProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        job: ClaimedJob,
        work: Work,
        grace: float,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._job, self._grace = job, grace
        self._served = ServedWork(work, self._send)
        self.has_ended = False
        """Whether the child has said what the attempt ended in."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, process: JobProcess, *, job: ClaimedJob, work: Work, grace: float
    ) -> AsyncIterator[Conversation]:
        reader, writer = await asyncio.open_unix_connection(sock=process.channel, limit=LARGEST_LINE)
        talk = cls(process, reader, writer, job=job, work=work, grace=grace)
        try:
            yield talk
        finally:
            talk._served.close()
            writer.close()

    async def start(self) -> Outcome | None:
        """Hand the job over. None: the handler is about to be called; else what it has come to before."""
        self._send(Run(self._job, self._grace))
        until = time.monotonic() + LONGEST_START
        try:
            message = await self._next(until)
            if isinstance(message, Ready):
                self._process.is_watched = True
                message = await self._next(until)
        except TimeoutError:
            return failed(TimeoutError(f"its own process was not ready within {LONGEST_START:g} s"), self._job)
        match message:
            case Started():
                return None
            case Ended(outcome):
                self.has_ended = True
                return outcome
            case _:
                return Crashed()

    async def outcome(self) -> Outcome:
        """Of a job that has started."""
        until = self._until(self._job.timeout_ms)
        try:
            while True:
                match message := await self._next(until):
                    case Ended(outcome):
                        self.has_ended = True
                        return outcome
                    case None:
                        return Crashed()
                    case Prolonged(ms):
                        until = self._until(ms)
                        self._served.take(message)
                    case _:
                        self._served.take(message)
        except TimeoutError:
            log.warning("job.timed_out", job_id=str(self._job.id), job_type=self._job.job_type)
            return timed_out(self._job)

    async def retire(self) -> None:
        """Let the process run its shutdown hooks."""
        self._writer.write_eof()
        until = time.monotonic() + HOOKS + _SLACK
        try:
            while await self._next(until) is not None:
                pass
        except TimeoutError:
            log.warning("isolation.not_retired", pid=self._process.pid)

    def _send(self, message: FromWorker) -> None:
        # A child that is gone already is found by the read that follows.
        if not self._writer.is_closing():
            self._writer.write(to_line(message))

    def _until(self, ms: int | None) -> float | None:
        return None if ms is None else time.monotonic() + ms / 1000 + self._grace + _SLACK

    async def _next(self, until: float | None) -> Any:
        """The next message; None when the process ended without one. Raises TimeoutError."""
        reading = asyncio.ensure_future(self._reader.readline())
        try:
            while not reading.done():
                left = TICK if until is None else min(TICK, until - time.monotonic())
                await asyncio.wait({reading}, timeout=max(left, 0))
                if reading.done():
                    break
                if self._process.has_exited():
                    self._process.kill()
                    await asyncio.wait({reading}, timeout=AFTER_EXIT)
                    break
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError
            line = b""
            if reading.done():
                # A child that dies may reset the line.
                with suppress(OSError):
                    line = reading.result()
        finally:
            reading.cancel()
        return from_line(line) if line.endswith(b"\n") else None


def log_crash(job: ClaimedJob, code: int) -> None:
    log.warning("job.crashed", job_id=str(job.id), job_type=job.job_type, by=exit_of(code))
