"""The queries of docs/operations.md."""

from __future__ import annotations

from tests.docs.test_operations import blocks
from tests.storage.raw import connected


async def test_the_query_of_the_page_finds_whose_transaction_is_open(postgres_url: str) -> None:
    [query] = blocks("sql")
    async with connected(postgres_url) as one, connected(postgres_url) as other:
        async with one.transaction():
            await one.execute("create table of_somebody (id int)")
            rows = await other.fetch(query)
        pids = [row["pid"] for row in rows]
        assert await one.fetchval("select pg_backend_pid()") in pids
