"""PostgreSQL's lock files: who serves the data folder, and how a dead server's claim is set aside."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.configuration import PORT
from dataqueue.storage.embedded.processes import is_postmaster

POSTMASTER_PID: Final = "postmaster.pid"
SOCKET: Final = f".s.PGSQL.{PORT}"


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A living server of a data folder, by its own account of itself."""

    pid: int
    # None until the server has opened its socket.
    socket_folder: Path | None


def living_postmaster(data: Path) -> Postmaster | None:
    """The server that postmaster.pid names, if that process really is one."""
    try:
        lines = (data / POSTMASTER_PID).read_text().splitlines()
    except FileNotFoundError:
        return None
    pid = int(lines[0]) if lines and lines[0].strip().isdecimal() else 0
    if not is_postmaster(pid, data):
        return None
    folder = lines[4].strip() if len(lines) > 4 else ""
    return Postmaster(pid, Path(folder) if folder else None)


def disown(lock_file: Path) -> None:
    """Take over a dead server's lock file: our own process number goes on its first line, the rest stays.

    PostgreSQL then counts the file as its starter's own instead of asking whether the old number, which
    another process may have by now, is alive; and it still checks the shared memory named further down.
    Deleting the file would lose that check, and with it the last guard against two servers on one folder.
    """
    try:
        found = lock_file.stat()
        rest = lock_file.read_text().splitlines()[1:]
    except FileNotFoundError:
        return
    # Renamed into place: whoever is killed here leaves the old file or the new one, never half of one.
    ours = lock_file.with_name(f"{lock_file.name}.disowned")
    ours.write_text("\n".join([str(os.getpid()), *rest, ""]))
    ours.chmod(0o600)
    os.chown(ours, found.st_uid, found.st_gid)
    ours.replace(lock_file)
