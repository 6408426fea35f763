"""Opens one process's share of the embedded PostgreSQL."""

from pathlib import Path
from urllib.parse import quote

from dataqueue.storage.embedded.account import account_for
from dataqueue.storage.embedded.binaries import find_binaries
from dataqueue.storage.embedded.cluster import SUPERUSER
from dataqueue.storage.embedded.configuration import PORT
from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.locks import ServerLock, Users, gate
from dataqueue.storage.embedded.server import Server
from dataqueue.storage.embedded.share import Share, joining


class EmbeddedPostgres(Share):
    """A PostgreSQL server of our own on a unix socket, shared by every process that opened the same home.

    Made by `open_embedded`.
    """

    url: str
    socket_folder: Path

    def __init__(self, server: Server, users: Users, socket_folder: Path) -> None:
        super().__init__(server, users)
        self.socket_folder = socket_folder
        self.url = self.url_for("postgres")

    def url_for(self, database: str) -> str:
        """The SQLAlchemy URL of one of the server's databases, whether or not it exists yet."""
        host = quote(str(self.socket_folder), safe="/")
        # The port is named because a PGPORT in the reader's environment would count otherwise.
        return f"postgresql+asyncpg://{SUPERUSER}@/{quote(database, safe='')}?host={host}&port={PORT}"


def open_embedded(
    home: Path, *, fsync: bool = True, pg_bin: Path | None = None, runtime_dir: Path | None = None
) -> EmbeddedPostgres:
    """Open the server of a home, starting it if nobody has; blocks until it takes connections.

    The first start makes the data folder, `pg<major version>` below the home. `fsync=False` is for databases
    that may be lost, and no process that wants durability can share such a server. `pg_bin` is the only place
    to take PostgreSQL's programs from; `runtime_dir` (XDG_RUNTIME_DIR) takes the socket if the home's path is
    too long for one.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        # One home by any name: the socket's folder and the server's identity are made from the path.
        home = home.resolve()
        with gate(home):
            return _open(home, fsync=fsync, pg_bin=pg_bin, runtime_dir=runtime_dir)
    except OSError as error:
        raise EmbeddedError(
            f"The embedded PostgreSQL cannot use {home} ({error}): set DATAQUEUE_HOME to a folder you can "
            "write, or DATAQUEUE_URL to a server of your own."
        ) from error


def _open(home: Path, *, fsync: bool, pg_bin: Path | None, runtime_dir: Path | None) -> EmbeddedPostgres:
    existing = next(iter(sorted(home.glob("pg*/"))), home / "new")
    account = account_for(existing)
    binaries = find_binaries(account, pg_bin=pg_bin)
    server = Server(
        home=home,
        data=home / f"pg{binaries.major}",
        account=account,
        binaries=binaries,
        lock=ServerLock(home),
        runtime_dir=runtime_dir,
    )
    with joining(server) as users:
        return EmbeddedPostgres(server, users, server.ensure(fsync=fsync))
