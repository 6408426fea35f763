"""Runs one job alone in a process of its own, so that nobody else is blamed, or hurt, when it crashes again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import structlog

from dataqueue.domain.job import ClaimedJob
from dataqueue.outcome import Crashed, Failed, Outcome, Released
from dataqueue.processing.attempt import failed, timed_out
from workers.child import exit_of
from workers.messages import STARTED, job_to_line, outcome_from_line
from workers.shutdown import kill_session
from workers.spawning import python_module

log = structlog.get_logger(__name__)

_LONGEST_START: Final = 60.0
_AFTER_TIMEOUT: Final = 0.5
_AFTER_EXIT: Final = 1.0
_LARGEST_LINE: Final = 64 << 20


class Isolation:
    """`await isolation(job)`: the job's outcome, each in a process of its own, so that none waits for another to end.

    Starting one is a second of a core's work at worst (the handlers are imported anew), so only as many start at a
    time as there are cores; the others wait, their leases kept by the heartbeat.
    """

    def __init__(self, modules: Sequence[str], *, command: Sequence[str] | None = None) -> None:
        """`modules`: those that hold the handlers; each child imports them anew."""
        self._command = tuple(command or python_module("workers.isolated", *modules))
        self._starting = asyncio.Semaphore(os.cpu_count() or 1)

    async def __call__(self, job: ClaimedJob) -> Outcome:
        """Run the job to its outcome. Cancelling this call kills the job's process and what it started."""
        try:
            async with AsyncExitStack() as stack:
                async with self._starting:
                    process = await stack.enter_async_context(_alone(self._command))
                    first = await _first_line(process, job)
                return first if isinstance(first, Failed) else await _outcome(process, job, first)
        except OSError as error:
            log.warning("isolation.not_started", job_id=str(job.id), error=str(error))
            return Released()


class _Process:
    """The child of one job: takes a line, answers with lines, may end at any time."""

    def __init__(self, process: asyncio.subprocess.Process, lines: asyncio.StreamReader) -> None:
        self._process, self._lines = process, lines
        self._exited = asyncio.create_task(process.wait())

    async def send(self, line: bytes) -> None:
        if self._process.stdin is not None:
            # A child that is gone already is found by the read that follows.
            with suppress(OSError):
                self._process.stdin.write(line)
                await self._process.stdin.drain()

    async def line(self, *, within: float | None) -> bytes:
        """The next line; empty when the process ended without one. Raises TimeoutError."""
        reading = asyncio.create_task(self._lines.readline())
        try:
            await asyncio.wait({reading, self._exited}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if self._exited.done():
                # What it left behind may hold the pipe open.
                kill_session(self._process.pid)
                await asyncio.wait({reading}, timeout=_AFTER_EXIT)
            elif not reading.done():
                raise TimeoutError
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()

    async def end(self) -> int:
        """End the process and what it started; its exit code."""
        # Before it is reaped its number cannot belong to anybody else.
        kill_session(self._process.pid)
        return await asyncio.shield(self._exited)


@asynccontextmanager
async def _alone(command: Sequence[str]) -> AsyncIterator[_Process]:
    """A process in a session of its own, killed at the end of the block, and by itself when this process dies."""
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "--outcome",
            str(writing),
            pass_fds=(writing,),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    lines = asyncio.StreamReader(limit=_LARGEST_LINE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(reading, "rb", buffering=0)
    )
    child = _Process(process, lines)
    try:
        yield child
    finally:
        transport.close()
        await child.end()


async def _first_line(process: _Process, job: ClaimedJob) -> bytes | Failed:
    """What the process says when the handler is about to be called, or has ended already."""
    await process.send(job_to_line(job))
    try:
        return await process.line(within=_LONGEST_START)
    except TimeoutError:
        return failed(TimeoutError(f"its own process was not ready within {_LONGEST_START:g} s"), job)


async def _outcome(process: _Process, job: ClaimedJob, line: bytes) -> Outcome:
    if line == STARTED:
        allowed = None if job.timeout_ms is None else job.timeout_ms / 1000 + _AFTER_TIMEOUT
        try:
            line = await process.line(within=allowed)
        except TimeoutError:
            return timed_out(job)
    if line.endswith(b"\n"):
        return outcome_from_line(line)
    log.warning("job.crashed", job_id=str(job.id), job_type=job.job_type, by=exit_of(await process.end()))
    return Crashed()
