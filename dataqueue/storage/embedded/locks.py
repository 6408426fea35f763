"""Three file locks, dropped by the kernel when their holders die, however they die.

The gate: one process at a time starts or stops the server. The users' lock: shared by everybody who has the
server open. The server's lock: inherited by the server and by the tools that prepare its folder, so that it
is held exactly as long as one of them lives, whatever a file of process numbers says.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def gate(home: Path) -> Iterator[None]:
    """Hold the gate of a home; waits for whoever holds it."""
    descriptor = _open(home / "gate.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Users:
    """One user's share of the server. Join and leave while holding the gate."""

    def __init__(self, home: Path) -> None:
        self._path = home / "users.lock"
        self._descriptor: int | None = None

    def join(self) -> None:
        self._descriptor = _open(self._path)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Give up the share; says whether nobody else has one."""
        if self._descriptor is not None:
            # Unlocked, not only closed: a forked child may hold the same descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None
        return not _is_held(self._path)


class ServerLock:
    """Held by the server's processes themselves."""

    def __init__(self, home: Path) -> None:
        self._path = home / "server.lock"

    def is_held(self) -> bool:
        return _is_held(self._path)

    @contextmanager
    def handed_over(self) -> Iterator[int]:
        """Locked descriptor for a child to inherit; the child's copy keeps the lock after ours is closed."""
        descriptor = _open(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        finally:
            # Closed, never unlocked: unlocking would take the lock from the child too.
            os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_held(path: Path) -> bool:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
