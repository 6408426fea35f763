"""One process's share of an embedded server, whichever it is."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dataqueue.storage.embedded.locks import Users, gate


class Stopping(Protocol):
    """A server that its last user ends."""

    @property
    def home(self) -> Path:
        """The folder of its locks."""
        ...

    def stop(self) -> None:
        """Return when no process of it is left. The gate is held."""
        ...


class Share:
    """Keeps a server up; the last one out stops it.

    Closing is safe to repeat; a normal end of the interpreter closes too.
    """

    def __init__(self, server: Stopping, users: Users) -> None:
        self._server = server
        self._users = users
        self._opened_by = os.getpid()
        self._is_open = True
        atexit.register(self.close)

    def close(self) -> None:
        """Give up our share; the last one out stops the server, disconnecting whoever is still connected."""
        # A forked child has a copy of this object, and no share of its own.
        if not self._is_open or os.getpid() != self._opened_by:
            return
        # A deleted home has no gate. Its PostgreSQL misses its lock file within a minute and ends itself.
        with suppress(FileNotFoundError), gate(self._server.home):
            _leave(self._server, self._users)
        self._is_open = False
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def joining(server: Stopping) -> Iterator[Users]:
    """A user's share while the server is found or started, given up again if that fails. The gate is held."""
    users = Users(server.home)
    users.join()
    try:
        yield users
    except BaseException:
        # Also an interrupt: what was started for us alone must not stay behind.
        _leave(server, users)
        raise


def _leave(server: Stopping, users: Users) -> None:
    if users.leave():
        server.stop()
