"""From settings to a storage: the only place that names the backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dataqueue.clock import Clock, StorageClock
from dataqueue.errors import Invalid
from dataqueue.settings import Settings
from dataqueue.storage.backend import Backend, backend_of
from dataqueue.storage.embedded import open_embedded, open_embedded_redis
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.migrating import migrate as migrate_postgres
from dataqueue.storage.postgres.storage import PostgresStorage
from dataqueue.storage.redis.storage import RedisStorage


@contextmanager
def storage_url(settings: Settings) -> Iterator[str]:
    """The URL of the storage; without a configured one, of the embedded server, up while the block runs."""
    if settings.url is not None:
        yield settings.url.get_secret_value()
    elif settings.backend is Backend.REDIS:
        with open_embedded_redis(settings.home_folder, redis_bin=settings.redis_bin) as redis:
            yield redis.url
    else:
        with open_embedded(settings.home_folder, pg_bin=settings.pg_bin) as server:
            yield server.url


def open_storage(
    url: str,
    *,
    listen_url: str | None = None,
    pool_size: int = 10,
    patience: float = 15.0,
    clock: Clock | None = None,
) -> Storage:
    """Connects lazily, so that a process may start before its storage. Invalid: no such kind of storage.

    `listen_url`: where hints are listened for, when `url` goes through something that does not carry them.
    `patience`: seconds that one operation may take before the storage counts as unavailable.
    """
    backend = check_url(url)
    if listen_url is not None and check_url(listen_url, name="DATAQUEUE_LISTEN_URL") is not backend:
        raise Invalid(f"DATAQUEUE_LISTEN_URL: it must go to the same storage as DATAQUEUE_URL, which is {backend}")
    open_one = RedisStorage if backend is Backend.REDIS else PostgresStorage
    return open_one(url, listen_url=listen_url, pool_size=pool_size, patience=patience, clock=clock or StorageClock())


async def migrate(url: str, *, revision: str = "head") -> bool:
    """Bring the storage's schema to a revision (PostgreSQL: an Alembic revision, also downwards). Invalid as above.

    Says whether the storage has a schema at all: Redis has none, and nothing is done.
    """
    if check_url(url) is Backend.REDIS:
        return False
    await migrate_postgres(url, revision=revision)
    return True


def check_url(url: str, *, name: str = "DATAQUEUE_URL") -> Backend:
    """The kind of storage that a URL, set under a name, is for. Invalid: there is no such kind."""
    if (backend := backend_of(url)) is None:
        scheme = url.partition(":")[0]
        raise Invalid(
            f"{name}: no storage for {scheme!r}; use postgresql://user:password@host/database, redis://host/0,"
            " redis+cluster://host or unix:///path/of/a/socket"
        )
    return backend
