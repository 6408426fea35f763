"""From settings to a storage: the only place that names the backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dataqueue.clock import Clock, StorageClock
from dataqueue.errors import Invalid
from dataqueue.settings import Settings
from dataqueue.storage.embedded import open_embedded
from dataqueue.storage.port import Storage
from dataqueue.storage.postgres.migrating import migrate as migrate_postgres
from dataqueue.storage.postgres.storage import PostgresStorage


@contextmanager
def storage_url(settings: Settings) -> Iterator[str]:
    """The URL of the storage; without a configured one, of the embedded server, up while the block runs."""
    if settings.url is not None:
        yield settings.url.get_secret_value()
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

    `patience`: seconds that one operation may take before the storage counts as unavailable.
    """
    check_url(url)
    clock = clock or StorageClock()
    return PostgresStorage(url, listen_url=listen_url, pool_size=pool_size, patience=patience, clock=clock)


async def migrate(url: str, *, revision: str = "head") -> None:
    """Bring the storage's schema to a revision (PostgreSQL: an Alembic revision, also downwards). Invalid as above."""
    check_url(url)
    await migrate_postgres(url, revision=revision)


def check_url(url: str) -> None:
    """Invalid: there is no such kind of storage."""
    if not url.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
        scheme = url.partition(":")[0]
        raise Invalid(f"DATAQUEUE_URL: no storage for {scheme!r}; use postgresql://user:password@host/database")
