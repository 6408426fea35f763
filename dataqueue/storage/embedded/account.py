"""The account a server runs as: our own, or an unprivileged one for root, which PostgreSQL refuses."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from dataqueue.storage.embedded.errors import EmbeddedError

# Accounts every system ships with: none is ever created.
UNPRIVILEGED: Final = ("nobody", "daemon")

# Nothing of the caller's environment: a PGPORT or PGOPTIONS in it would change what the tools do.
TOOL_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group that tools run as and that the server's files belong to."""

    uid: int
    gid: int

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path = Path("/"),
        keep: Sequence[int] = (),
        reading: IO[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a tool to its end as this account; `keep` names the descriptors it inherits, `reading` its input.

        The working folder is entered before the account changes, so it may lie where the account cannot go.
        """
        is_other = self.uid != os.geteuid()
        return subprocess.run(
            [os.fspath(part) for part in command],
            user=self.uid if is_other else None,
            group=self.gid if is_other else None,
            extra_groups=[] if is_other else None,
            umask=0o077,
            cwd=cwd,
            env=TOOL_ENVIRONMENT,
            pass_fds=keep,
            # A Ctrl-C in our terminal is for us: the server outlives it until its last user has closed.
            start_new_session=True,
            stdin=subprocess.DEVNULL if reading is None else reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def reaches(self, folder: Path) -> bool:
        """Whether this account can enter the folder by its path: the kernel is asked, it knows every rule."""
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]).returncode == 0

    def make_private(self, folder: Path) -> None:
        """Make a new folder that this account alone may open. Raises FileExistsError if there is one."""
        folder.mkdir(mode=0o700)
        os.chown(folder, self.uid, self.gid)

    def owns_privately(self, folder: Path) -> bool:
        """Whether the path is a real folder of this account's that nobody else may open."""
        if folder.is_symlink() or not folder.is_dir():
            return False
        found = folder.stat()
        return found.st_uid == self.uid and not found.st_mode & 0o077


def account_for(data: Path) -> Account:
    """PostgreSQL's account for a data folder: its owner if it exists, ourselves, or for root an unprivileged one."""
    account = own_account_for(data)
    if os.geteuid() == 0:
        return account if account.uid != 0 else _unprivileged()
    _refuse_unlisted(account)
    return account


def own_account_for(data: Path) -> Account:
    """The account of a server that minds nobody: the data folder's owner if it exists, else ourselves."""
    owner, ours = _owner_of(data), Account(os.geteuid(), os.getegid())
    if owner is None or owner.uid == ours.uid:
        return ours
    if ours.uid != 0:
        raise EmbeddedError(
            f"{data} belongs to user id {owner.uid} and you are user id {ours.uid}: run as that user or as "
            "root, or set DATAQUEUE_HOME to a folder of your own."
        )
    return owner


def _refuse_unlisted(account: Account) -> None:
    try:
        pwd.getpwuid(account.uid)
    except KeyError:
        raise EmbeddedError(
            f"User id {account.uid} has no entry in /etc/passwd, and PostgreSQL's initdb wants one: run as a "
            "user who has, or set DATAQUEUE_URL to a server of your own."
        ) from None


def _owner_of(data: Path) -> Account | None:
    try:
        found = data.stat()
    except FileNotFoundError:
        return None
    return Account(found.st_uid, found.st_gid)


def _unprivileged() -> Account:
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        f"PostgreSQL refuses to run as root and this system has no account {' or '.join(UNPRIVILEGED)}: run "
        "as another user, or set DATAQUEUE_URL to a server of your own."
    )
