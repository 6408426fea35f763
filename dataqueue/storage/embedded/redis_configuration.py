"""The embedded Redis's redis.conf: ours as a whole, written before every start."""

import os
import re
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account

FILE: Final = "redis.conf"
PID_FILE: Final = "server.pid"
SOCKET: Final = "redis.sock"

# Only what Redis 6.2 knows too. The append-only files hold everything, so there are no snapshots besides.
BASE: Final = """\
# Written by DataQueue before every start.
port 0
unixsocket {socket}
unixsocketperm 700
daemonize yes
dir .
pidfile {pid_file}
logfile {log}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""

_SOCKET_LINE: Final = re.compile(r"^unixsocket (.+)$", re.MULTILINE)


def write_configuration(data: Path, account: Account, *, socket: Path, log: str) -> None:
    """Put the settings for the next start in place."""
    new = data / f"{FILE}.new"
    new.write_text(BASE.format(socket=socket, pid_file=PID_FILE, log=log))
    new.chmod(0o600)
    os.chown(new, account.uid, account.gid)
    new.replace(data / FILE)


def configured_socket(data: Path) -> Path | None:
    """The socket of the server that was last started."""
    try:
        found = _SOCKET_LINE.search((data / FILE).read_text())
    except FileNotFoundError:
        return None
    return Path(found[1]) if found else None
