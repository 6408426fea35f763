"""The server's postgresql.conf: ours as a whole, written before every start."""

import os
from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import Account

FILE: Final = "postgresql.conf"
# A number in the socket's name and nothing more: there is no TCP.
PORT: Final = 5432

BASE: Final = """\
# Written by DataQueue before every start. ALTER SYSTEM keeps settings of your own in postgresql.auto.conf.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 128MB
timezone = 'UTC'
log_timezone = 'UTC'
# The log tells the server's own life. Whoever sent a bad statement is told so; its text may hold secrets.
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
"""

# Three times the speed for databases that nobody misses; a power cut destroys them.
VOLATILE: Final = """\
fsync = off
full_page_writes = off
synchronous_commit = off
"""


def write_configuration(data: Path, account: Account, *, socket_folder: Path, fsync: bool) -> None:
    """Put the settings for the next start in place."""
    new = data / f"{FILE}.new"
    new.write_text(BASE.format(socket_folder=socket_folder, port=PORT) + ("" if fsync else VOLATILE))
    new.chmod(0o600)
    os.chown(new, account.uid, account.gid)
    new.replace(data / FILE)


def is_volatile(data: Path) -> bool:
    """Whether the server was last started without fsync."""
    return VOLATILE in (data / FILE).read_text()
