"""docs/queue.md where it hands over a connection: to PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.docs.test_queue import blocks, run
from tests.storage.callers import conninfo_url
from tests.storage.raw import connected


async def test_a_view_of_django_keeps_its_row_and_its_job_or_neither(
    postgres_url: str, given_module: Callable[..., None]
) -> None:
    async with connected(postgres_url) as connection:
        await connection.execute("create table account (email text primary key)")
    with psycopg.connect(conninfo_url(postgres_url), autocommit=True) as ours:

        @contextmanager
        def atomic() -> Iterator[None]:
            with ours.transaction():
                yield

        given_module("django")
        given_module(
            "django.db",
            connection=SimpleNamespace(cursor=ours.cursor, connection=ours),
            transaction=SimpleNamespace(atomic=atomic),
        )
        names: dict[str, Any] = {}
        run(blocks("test: django")[0], names)
        await asyncio.to_thread(names["signup"], "ada@example.com")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await asyncio.to_thread(names["signup"], "ada@example.com")
        await asyncio.to_thread(names["queue"].close)
    async with connected(postgres_url) as connection:
        assert await connection.fetchval("select count(*) from account") == 1
        assert await connection.fetchval("select count(*) from dataqueue.job") == 1
