"""Chooses the folder of the server's unix socket."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account

# The kernel's sockaddr_un, less the closing NUL.
LONGEST_PATH: Final = 103 if sys.platform == "darwin" else 107
SHORT_PLACE: Final = Path("/tmp")
PREFIX: Final = "dataqueue-"

# Needs no quoting in a URL or in the settings of a server, and no driver takes it for a list of hosts.
PLAIN: Final = re.compile(r"[A-Za-z0-9._/+-]+")


def socket_folder(home: Path, account: Account, *, name: str, runtime_dir: Path | None = None) -> Path:
    """A folder for a socket of this name, private to the server's account.

    In the home if that path will do, else a short one.
    """
    if _is_short(home / "socket" / name) and account.reaches(home):
        folder = home / "socket"
        if not account.owns_privately(folder):
            # Ours by its place: a kill may have left it half made.
            shutil.rmtree(folder, ignore_errors=True)
            account.make_private(folder)
        return folder
    return _short_folder(home, account, _short_place(account, name, runtime_dir))


def remove_if_elsewhere(folder: Path, home: Path) -> None:
    """Leave nothing of a stopped server outside its home."""
    if folder.parent != home and folder.name.startswith(PREFIX):
        try:
            folder.rmdir()
        except OSError:
            # Not empty or not ours: better left than emptied.
            return


def _is_short(socket: Path) -> bool:
    return PLAIN.fullmatch(str(socket)) is not None and len(os.fsencode(socket)) <= LONGEST_PATH


def _short_place(account: Account, name: str, runtime_dir: Path | None) -> Path:
    if runtime_dir and _is_short(runtime_dir / ("x" * 32) / name) and account.reaches(runtime_dir):
        return runtime_dir
    return SHORT_PLACE


def _short_folder(home: Path, account: Account, place: Path) -> Path:
    # The same name for the same home: a crash leaves one folder behind, and the next start uses it again.
    folder = place / f"{PREFIX}{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    try:
        account.make_private(folder)
    except FileExistsError:
        if not account.owns_privately(folder):
            # In a place everybody writes to, somebody may have taken the name first.
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            os.chown(folder, account.uid, account.gid)
    return folder
