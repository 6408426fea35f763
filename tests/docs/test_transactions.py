"""The SQL of docs/transactions.md is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from dataqueue.storage.port import Storage
from tests.storage.given import NAMESPACE, claim
from tests.storage.raw import connected

PAGE: Final = (Path(__file__).parents[2] / "docs" / "transactions.md").read_text()
BLOCKS: Final = re.findall(r"^<!-- test -->\n```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def test_every_block_does_what_the_page_says(live_storage: Storage, database_url: str) -> None:
    jobs = live_storage.jobs(NAMESPACE)
    async with connected(database_url) as connection:
        await connection.execute("create table bill (id int primary key, amount int)")
        transaction = connection.transaction()  # roles are shared by all databases: these go with the end of the test
        one, remind, many, trigger, *roles = BLOCKS
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
        await transaction.start()
        assert len(roles) == 2
        for block in roles:
            await connection.execute(block)
        for role in ("billing", "app_enqueuer"):
            await connection.execute(f"set local role {role}")
            assert await connection.fetchval("select created from dataqueue_enqueue('bills.send')")
            await connection.execute("reset role")
        await transaction.rollback()
