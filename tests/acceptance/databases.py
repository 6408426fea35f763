"""A server of a test's own that dies, stalls and comes back, with the data that it wrote to the disk."""

from __future__ import annotations

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from redis import Redis

from dataqueue.storage.embedded import open_embedded, open_embedded_redis
from dataqueue.storage.opening import migrate
from tests.acceptance.processes import until
from tests.acceptance.services import look
from tests.embedded.support import kill_all, kill_server, postmaster_pid, processes_in


class Mortal(ABC):
    """The server of a home. Its URLs stay the same whatever happens to it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._shares = ExitStack()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody needs what it would take its time to write down.
        self._kill()
        self._shares.close()

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it has recovered."""

    @abstractmethod
    def empty_storage(self) -> str:
        """The URL of a storage that is ready and empty."""

    @abstractmethod
    def restart_immediately(self) -> None:
        """Every connection is dropped in the middle of what it does."""

    @abstractmethod
    def _kill(self) -> None:
        """It dies as in a power cut."""

    @contextmanager
    def gone(self) -> Iterator[None]:
        """It dies as in a power cut, and is started at the end of the block."""
        self._kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """It takes connections and answers nothing, as behind a network that drops everything."""
        frozen = processes_in(self._home)
        for process in frozen:
            process.suspend()
        try:
            yield
        finally:
            for process in frozen:
                process.resume()

    def away(self, how: str) -> AbstractContextManager[None]:
        """It is `gone` or `stalled` during the block."""
        return {"gone": self.gone, "stalled": self.stalled}[how]()


class MortalPostgres(Mortal):
    """A PostgreSQL."""

    _numbers = count()

    def start(self) -> None:
        self._server = self._shares.enter_context(open_embedded(self._home))

    def empty_storage(self) -> str:
        name = f"mortal_{next(self._numbers)}"
        look(self._server.url, f"create database {name}")
        url = self._server.url_for(name)
        asyncio.run(migrate(url))
        return url

    def restart_immediately(self) -> None:
        # As `pg_ctl restart -m immediate`.
        os.kill(postmaster_pid(self._home), signal.SIGQUIT)
        until(lambda: not processes_in(self._home), "the end of the server")
        self.start()

    def _kill(self) -> None:
        kill_server(self._home)


class MortalRedis(Mortal):
    """A Redis that has everything on the disk before it says that it has it."""

    def start(self) -> None:
        self._server = self._shares.enter_context(open_embedded_redis(self._home))
        self._told("CONFIG SET", "appendfsync", "always")

    def empty_storage(self) -> str:
        self._told("FLUSHALL")
        return self._server.url

    def restart_immediately(self) -> None:
        self._kill()
        self.start()

    def _kill(self) -> None:
        kill_all(self._home)

    def _told(self, *command: str) -> None:
        with Redis.from_url(self._server.url) as client:
            client.execute_command(*command)
