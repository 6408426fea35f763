"""Makes the data folder: whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account
from dataqueue.storage.embedded.binaries import Binaries
from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.locks import ServerLock

SUPERUSER: Final = "queue"
SPECIAL_TO_A_SHELL: Final = set('"$`\\')


def data_path(data: Path, account: Account) -> str:
    """How the account's tools name the data folder when they are started inside it.

    Below a private folder (root's home is one) the account cannot follow the path, yet it owns the folder
    and stands in it: the kernel's link to the working folder leads there without passing the parents. So the
    data stay in the home, where a volume is mounted and a backup looks, and no folder's mode is touched.
    So does a path that a shell would read otherwise: pg_ctl and initdb only put it in double quotes.
    """
    if account.reaches(data) and not SPECIAL_TO_A_SHELL & set(str(data)):
        return str(data)
    link = "/proc/self/cwd"
    if not Path(link).exists():
        raise EmbeddedError(
            f"The account PostgreSQL runs as cannot be given {data}: set DATAQUEUE_HOME to a plainly named "
            "folder outside your private ones, or run as another user than root."
        )
    return link


def ensure_cluster(
    home: Path, data: Path, *, account: Account, binaries: Binaries, lock: ServerLock, fsync: bool
) -> None:
    """Make the data folder unless there is one. The gate is held and no process works on the home."""
    if data.exists():
        return
    _refuse_other_versions(home, data)
    new = home / "new"
    # What a killed start left behind. Its initdb is gone too, or the server's lock would be held.
    shutil.rmtree(new, ignore_errors=True)
    account.make_private(new)
    _initdb(new, account=account, binaries=binaries, lock=lock, fsync=fsync)
    new.rename(data)
    if fsync:
        _sync_folder(home)


def _initdb(new: Path, *, account: Account, binaries: Binaries, lock: ServerLock, fsync: bool) -> None:
    command: list[str | Path] = [
        *(binaries.tool("initdb"), "-D", data_path(new, account), "--username", SUPERUSER),
        # The socket's folder is the door: it opens to the server's account and to root. There is no TCP.
        *("--auth-local", "trust", "--auth-host", "reject"),
        *("--encoding", "UTF8", "--locale", "C", "--data-checksums"),
    ]
    if binaries.major >= 17:
        # Sorts by code point as C does, and knows letters beyond ASCII; the same on every system.
        command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    if not fsync:
        command += ["--no-sync"]
    with lock.handed_over() as descriptor:
        answer = account.run(command, cwd=new, keep=[descriptor])
    if answer.returncode:
        raise EmbeddedError(
            f"initdb could not make a data folder in {new.parent}, which is left for the next try. It said:\n"
            f"{answer.stdout.strip()}"
        )


def _refuse_other_versions(home: Path, data: Path) -> None:
    for other in sorted(home.glob("pg*/PG_VERSION")):
        # A fresh folder beside it would look like a queue that lost every job.
        raise EmbeddedError(
            f"{home} holds data of PostgreSQL {other.read_text().strip()} and the programs found would make "
            f"{data.name}: set DATAQUEUE_PG_BIN to programs of that version, or dump the data with them, "
            f"move {other.parent} away and restore."
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
