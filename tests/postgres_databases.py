"""Databases for tests, copied from a migrated one."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final, LiteralString, Self

import psycopg
from psycopg import sql

from dataqueue.storage.embedded import EmbeddedPostgres
from dataqueue.storage.opening import migrate

TEMPLATE: Final = "template_dataqueue"
# Of a role in a database: they do not travel with a template.
SETTINGS: Final[tuple[LiteralString, ...]] = ("plan_cache_mode = force_custom_plan", "jit = off")


# What a run keeps at a time is a tenth of it, most of which is PostgreSQL's log.
ROOM: Final = 2 << 30


def folder_in_memory() -> Path | None:
    """Where to make a folder that needs no disk; None where there is no such place, or little room in it.

    A database is over a thousand files. To make and remove them took a file system on a disk longer than all else that
    a test does.
    """
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > ROOM else None


class Databases:
    """Migrated databases, each for one user.

    None is made ahead of need: events are told once all transactions of the server are over that were there before, and
    a test sees how often it had to look.
    """

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count()
        self._connection = psycopg.connect(
            host=str(server.socket_folder), user="queue", dbname="postgres", autocommit=True
        )

    def __enter__(self) -> Self:
        self._execute("create database {}", TEMPLATE)
        asyncio.run(migrate(self._server.url_for(TEMPLATE)))
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def take(self) -> str:
        """The URL of a database that ends with the server."""
        return self._server.url_for(self._made())

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of a database that is there during the block."""
        name = self._made()
        yield self._server.url_for(name)
        self._execute("drop database {} with (force)", name)

    def _made(self) -> str:
        name = f"test_{next(self._numbers)}"
        # By file: a copy through the log writes everything twice.
        self._execute("create database {} template {} strategy file_copy", name, TEMPLATE)
        for setting in SETTINGS:
            self._execute(f"alter role queue in database {{}} set {setting}", name)
        return name

    def _execute(self, statement: LiteralString, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
