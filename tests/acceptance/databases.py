"""A PostgreSQL of a test's own that dies, stalls and comes back, with the data that it wrote to the disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Self

from dataqueue.storage.embedded import open_embedded
from tests.acceptance.processes import until
from tests.embedded.support import kill_server, postmaster_pid, processes_in


class Mortal:
    """The server of a home. Its URL stays the same whatever happens to it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._shares = ExitStack()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody needs what it would take its time to write down.
        kill_server(self._home)
        self._shares.close()

    def start(self) -> None:
        """Start it, and wait until it has recovered."""
        self._server = self._shares.enter_context(open_embedded(self._home))

    def url_for(self, database: str) -> str:
        return self._server.url_for(database)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """It dies as in a power cut, and is started at the end of the block."""
        kill_server(self._home)
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

    def restart_immediately(self) -> None:
        """As `pg_ctl restart -m immediate`: every connection is dropped in the middle of what it does."""
        os.kill(postmaster_pid(self._home), signal.SIGQUIT)
        until(lambda: not processes_in(self._home), "the end of the server")
        self.start()
