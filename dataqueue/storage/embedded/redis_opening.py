"""Opens one process's share of the embedded Redis."""

from pathlib import Path
from typing import Final

from dataqueue.storage.embedded.account import own_account_for
from dataqueue.storage.embedded.errors import EmbeddedError
from dataqueue.storage.embedded.locks import ServerLock, Users, gate
from dataqueue.storage.embedded.redis_binary import find_redis
from dataqueue.storage.embedded.redis_server import RedisServer
from dataqueue.storage.embedded.share import Share, joining

# Below DATAQUEUE_HOME, with locks and a socket of its own: a PostgreSQL beside it is another server.
FOLDER: Final = "redis"


class EmbeddedRedis(Share):
    """A Redis server of our own on a unix socket, shared by every process that opened the same home.

    Made by `open_embedded_redis`.
    """

    url: str
    socket: Path

    def __init__(self, server: RedisServer, users: Users, socket: Path) -> None:
        super().__init__(server, users)
        self.socket = socket
        self.url = f"unix://{socket}?db=0"


def open_embedded_redis(home: Path, *, redis_bin: Path | None = None, runtime_dir: Path | None = None) -> EmbeddedRedis:
    """Open the Redis of a home, starting it if nobody has; blocks until it has loaded its data.

    The first start makes the data folder, `redis/data` below the home. `redis_bin` is the only folder to take the
    server's program from; `runtime_dir` (XDG_RUNTIME_DIR) takes the socket if the home's path is too long for one.
    """
    try:
        home = home / FOLDER
        home.mkdir(parents=True, exist_ok=True)
        # One home by any name: the socket's folder is made from the path.
        home = home.resolve()
        with gate(home):
            return _open(home, redis_bin=redis_bin, runtime_dir=runtime_dir)
    except OSError as error:
        raise EmbeddedError(
            f"The embedded Redis cannot use {home} ({error}): set DATAQUEUE_HOME to a folder you can write, or "
            "DATAQUEUE_URL to a server of your own."
        ) from error


def _open(home: Path, *, redis_bin: Path | None, runtime_dir: Path | None) -> EmbeddedRedis:
    data = home / "data"
    account = own_account_for(data)
    server = RedisServer(
        home=home,
        data=data,
        account=account,
        program=find_redis(account, redis_bin=redis_bin),
        lock=ServerLock(home),
        runtime_dir=runtime_dir,
    )
    with joining(server) as users:
        return EmbeddedRedis(server, users, server.ensure())
