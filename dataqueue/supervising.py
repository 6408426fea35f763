"""Supervisors: the upkeep of one namespace inside somebody's own process, for `Queue.create_supervisor`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

import structlog

from dataqueue.duties import jittered
from dataqueue.processors import TellError

log = structlog.get_logger(__name__)

T = TypeVar("T")
Task = Callable[[], Awaitable[int]]


class QueueSupervisor:
    """Does tasks again and again, each apart from the others. Made by `Queue`; safe in any number of processes.

    `silent` are tasks that have nothing to count.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        *,
        silent: Mapping[str, Callable[[], Awaitable[None]]],
        interval: float,
        tell_error: TellError,
    ) -> None:
        self._tasks, self._silent = dict(tasks), dict(silent)
        self._interval, self._tell_error = interval, tell_error
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it works in the background."""
        return self._task is not None and not self._task.done()

    async def start(self) -> dict[str, int]:
        """Do every task once; what each came to, by name. One that fails counts 0, and is told as an error."""
        for name, task in self._silent.items():
            await self._once(name, task)
        return {name: await self._once(name, task) or 0 for name, task in self._tasks.items()}

    def start_in_background(self) -> None:
        """Do them now and after every interval; returns at once. Starting twice changes nothing."""
        if not self.is_running:
            self._stop = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop at once; a task under way is cut off, and what it has done stays done."""
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def stop_and_drain(self, timeout: float | timedelta = 30.0) -> None:
        """Stop after the round under way, or after so long (seconds)."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._stop.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
        await self.stop()

    async def _run(self) -> None:
        while not self._stop.is_set():
            await self.start()
            try:
                async with asyncio.timeout(jittered(self._interval)):
                    await self._stop.wait()
            except TimeoutError:
                pass

    async def _once(self, name: str, task: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await task()
        except Exception as error:  # noqa: BLE001 - each task is apart from the others
            log.warning("supervisor.task_failed", task=name, error=str(error))
            self._tell_error(error, name)
            return None
