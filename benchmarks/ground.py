"""The ground that is measured on: a server of our own with production's settings, and processes on free ports."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from benchmarks.processes import Fleet, Process, free_port

HANDLERS: Final = "benchmarks.handlers"


class Recorded(NamedTuple):
    """What a server knows of a drain: jobs completed, from the first claim to the last completion, events."""

    done: int
    seconds: float
    events: int


class Ground(ABC):
    """Makes places for data on one server and starts processes; `benchmarks.standing` opens and closes it."""

    name: ClassVar[str]
    """The server's."""
    wake_up: ClassVar[str]
    """The command by which its clients wake each other."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    @abstractmethod
    async def database(self) -> str:
        """The URL of a new place for our data, ready."""

    @abstractmethod
    async def drop(self, url: str) -> None:
        """Give its space back."""

    @abstractmethod
    async def settle(self, url: str) -> None:
        """As in a queue that has run for a while, with nothing left over from what came before."""

    @abstractmethod
    async def trips(self, url: str) -> int:
        """How often it was asked so far, as far as it says."""

    @abstractmethod
    def watching(self, url: str) -> AbstractAsyncContextManager[Callable[[], Awaitable[int]]]:
        """How many events were written, as often as one asks, which is no trip."""

    @abstractmethod
    async def recorded(self, url: str) -> Recorded: ...

    @abstractmethod
    def server_cpu(self) -> float:
        """CPU seconds of the server."""

    def servers_cpu(self) -> float:
        """Of every server of ours."""
        return self.server_cpu()

    @abstractmethod
    def wakes(self, url: str) -> AbstractAsyncContextManager[Callable[[], Awaitable[float]]]:
        """How long such a command takes from sent to heard, milliseconds, each time it is called."""

    @abstractmethod
    async def listeners(self, url: str) -> int:
        """How many listen for hints."""

    async def api(self, url: str) -> tuple[Process, int]:
        """The API as `dataqueue serve` starts it, ready, and its port."""
        port = free_port()
        process = self.fleet.start("workers", "serve", "--port", str(port), env={"DATAQUEUE_URL": url}, listens=True)
        await process.connectable(port)
        return process, port

    async def reference(self, kind: str, url: str) -> tuple[Process, int]:
        """An application of `benchmarks.references`, served as the API is."""
        port = free_port()
        env = {"DATAQUEUE_URL": url, "DATAQUEUE_HOST": "127.0.0.1"}
        process = self.fleet.start("benchmarks.references", kind, str(port), env=env, listens=True)
        await process.connectable(port)
        return process, port

    async def worker(self, url: str, *, concurrency: int, processes: int = 1, **env: str) -> Process:
        """`dataqueue worker` with the handlers of the benchmark, once all of its processes listen for hints."""
        before = await self.listeners(url)
        process = self.fleet.start(
            "workers",
            *("worker", "--import", HANDLERS, "--concurrency", str(concurrency), "--processes", str(processes)),
            env={"DATAQUEUE_URL": url, **env},
            listens=True,
        )
        while await self.listeners(url) < before + processes:
            process.insist_alive()
            await asyncio.sleep(0.1)
        return process

    def tool(self, module: str, *arguments: str, python: Path | None = None, **env: str) -> Process:
        """A process of the benchmark's own, whose output is read; `python`: of another environment."""
        return self.fleet.start(module, *arguments, env=env, python=python)
