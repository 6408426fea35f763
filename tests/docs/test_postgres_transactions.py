"""The examples of docs/transactions.md are run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import asyncpg
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dataqueue.queue import Queue
from dataqueue.storage.port import Storage
from dataqueue.sync import SyncQueue
from tests.storage.callers import conninfo_url
from tests.storage.given import NAMESPACE, claim
from tests.storage.raw import connected

PAGE: Final = (Path(__file__).parents[2] / "docs" / "transactions.md").read_text()
TABLE: Final = "create table bill (id int primary key, amount int)"


def blocks(language: str) -> list[str]:
    """Those that a reader runs as they stand."""
    return re.findall(rf"^<!-- test -->\n```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Base(DeclarativeBase):
    pass


class Bill(Base):
    __tablename__ = "bill"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]


async def test_the_sql_does_what_the_page_says(live_storage: Storage, postgres_url: str) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    one, remind, many, trigger, *roles = blocks("sql")
    async with connected(postgres_url) as connection:
        await connection.execute(TABLE)
        for block in (one, remind, many, trigger):
            await connection.execute(block)
        await connection.execute("insert into bill values (2, 5)")
        await live_storage.upkeep.stage(limit=100)
        claimed = await claim(jobs, "bills.send", "bills.remind")
        assert [(job.job_type, job.payload) for job in claimed] == [
            ("bills.send", '{"bill": 1}'),
            ("bills.remind", '{"bill" : 1}'),
            ("bills.send", '{"bill" : 2}'),
        ]
        assert len(roles) == 2
        transaction = connection.transaction()  # roles are shared by all databases: these go with the end of the test
        await transaction.start()
        for block in roles:
            await connection.execute(block)
        for role in ("billing", "app_enqueuer"):
            await connection.execute(f"set local role {role}")
            assert await connection.fetchval("select created from dataqueue_enqueue('bills.send')")
            await connection.execute("reset role")
        await transaction.rollback()


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_the_python_stores_the_bill_and_its_job(number: int, live_storage: Storage, postgres_url: str) -> None:
    block = blocks("python")[number - 1]
    engine = create_async_engine(postgres_url)
    async with (
        connected(postgres_url) as connection,
        Queue.open(postgres_url) as queue,
        asyncpg.create_pool(conninfo_url(postgres_url), min_size=0) as pool,
    ):
        await connection.execute(TABLE)
        known: dict[str, Any] = {
            "AsyncSession": AsyncSession, "Bill": Bill, "SyncQueue": SyncQueue, "engine": engine, "pool": pool,
            "psycopg": psycopg, "queue": queue, "url": conninfo_url(postgres_url),
        }  # fmt: skip
        exec(f"async def example():\n{indent(block, '    ')}", known)
        await known["example"]()
        assert await connection.fetchval("select id from bill") == number
        await live_storage.upkeep.stage(limit=10)
        [job] = await claim(live_storage.jobs(NAMESPACE), "bills.send")
        assert job.payload == f'{{"bill":{number}}}'
    await engine.dispose()
