"""Keeps child processes alive: what a handler does to its process must not take the service down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from workers.child import Child, exit_of
from workers.shutdown import Shutdown
from workers.tether import Word

log = structlog.get_logger(__name__)

CANNOT_START: Final = 2
"""Exit code of a child that said on stderr why it will never start: asking again would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a supervisor waits for what, seconds."""

    drain: float
    hurry: float = 5.0
    first_restart: float = 0.1
    longest_restart: float = 30.0
    steady: float = 60.0

    def before_restart(self, failures: int) -> float:
        """The pause before a child starts again after its n-th death in a row (1, 2, …)."""
        return min(self.first_restart * 2.0 ** min(failures - 1, 16), self.longest_restart)


class Supervisor:
    """Runs `count` children of one command until told to stop, and starts again those that die.

    With `number_option` each hears its number, 0, 1, …, which the one that replaces it inherits.

    The first starts alone: what keeps it from starting is then said once, and ends the supervisor.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        count: int,
        patience: Patience,
        number_option: str | None = None,
    ) -> None:
        self._name, self._command, self._env, self._count = name, tuple(command), dict(env), count
        self._number_option = number_option
        self._patience = patience
        self.ready = asyncio.Event()
        self.about: dict[str, Any] = {}
        self._over = asyncio.Event()
        self._serving = 0
        self._exit_code = 0

    async def run(self, shutdown: Shutdown) -> int:
        """Until a drain is done, 0 when it was clean; or until no child can be kept, then the child's own code."""
        async with asyncio.TaskGroup() as group:
            told = group.create_task(self._end_with(shutdown.drain))
            keepers = [group.create_task(self._keep(shutdown, number)) for number in range(self._count)]
            await asyncio.wait(keepers)
            told.cancel()
        return self._exit_code

    async def _end_with(self, drain: asyncio.Event) -> None:
        await drain.wait()
        self._over.set()

    async def _keep(self, shutdown: Shutdown, number: int) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        if number:
            await _first_of(self.ready.wait(), self._over.wait())
        while not self._over.is_set():
            started = loop.time()
            code, was_ready = await self._one_life(shutdown, number)
            if self._over.is_set():
                if code != 0:
                    self._exit_code = self._exit_code or 1
                return
            if not was_ready and self._serving == 0 and (code == CANNOT_START or not self.ready.is_set()):
                self._give_up(code)
                return
            failures = 1 if loop.time() - started > self._patience.steady else failures + 1
            pause = self._patience.before_restart(failures)
            log.warning("child.died", name=self._name, by=exit_of(code), restart_in=round(pause, 2))
            await _first_of(self._over.wait(), timeout=pause)

    def _give_up(self, code: int) -> None:
        if code != CANNOT_START:
            log.error("child.cannot_start", name=self._name, by=exit_of(code))
        self._exit_code = code if code > 0 else 1
        self._over.set()

    async def _one_life(self, shutdown: Shutdown, number: int) -> tuple[int, bool]:
        """Start a child and see it to its end: its exit code, and whether it ever was ready."""
        try:
            numbered = () if self._number_option is None else (self._number_option, str(number))
            child = await Child.start((*self._command, *numbered), env=self._env)
        except OSError as error:
            log.warning("child.not_started", name=self._name, error=str(error))
            return 1, False
        exited = asyncio.create_task(child.wait())
        serving = asyncio.create_task(self._count_in(child))
        try:
            await _first_of(self._over.wait(), until=exited)
            if not exited.done():
                await self._end(child, exited, shutdown)
            return await exited, child.ready.is_set()
        finally:
            if not exited.done():
                child.kill()
            serving.cancel()
            await asyncio.wait({serving})

    async def _count_in(self, child: Child) -> None:
        """Count a child among those that serve, from its word to its end."""
        await child.ready.wait()
        self.about = child.about or {}
        self.ready.set()
        self._serving += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._serving -= 1

    async def _end(self, child: Child, exited: asyncio.Task[int], shutdown: Shutdown) -> None:
        child.say(Word.DRAIN)
        await _first_of(shutdown.hurry.wait(), until=exited, timeout=self._patience.drain)
        if exited.done():
            return
        child.say(Word.HURRY)
        await asyncio.wait({exited}, timeout=self._patience.hurry)
        if not exited.done():
            log.error("child.killed", name=self._name, pid=child.pid, why="it did not end when asked to")
            child.kill()


async def _first_of(*waits: Any, until: asyncio.Task[int] | None = None, timeout: float | None = None) -> None:
    """Wait for any of these, or for a task that goes on, or for the time to be up."""
    tasks = {asyncio.ensure_future(wait) for wait in waits}
    try:
        await asyncio.wait(tasks | ({until} if until else set()), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
