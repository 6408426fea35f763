"""Pages of the event log where PostgreSQL decides how far one may look."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from dataqueue.storage.port import Storage
from dataqueue.storage.postgres import events as of_postgres
from tests.api.event_log import START, happening, types
from tests.api.event_source import page
from tests.storage.raw import connected


async def test_a_page_with_a_sparse_filter_goes_as_far_as_it_looked(
    client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_postgres, "_LOOKED_AT", 10)
    await happening(storage, *["mail"] * 95, "odd", *["mail"] * 30, "odd", *["mail"] * 103)
    assert await page(client, START, ("job_type", "none"), ("limit", "1")) == {"data": [], "next_cursor": "100"}
    after = "start"
    seen: list[str] = []
    cursors: list[str] = []
    while not cursors or after != cursors[-1]:
        cursors.append(after)
        found = await page(client, ("after", after), ("job_type", "odd"), ("limit", "5"))
        seen += [event["id"] for event in found["data"]]
        after = found["next_cursor"]
    assert seen == ["96", "127"]
    assert cursors == ["start", "100", "200", "230"]


async def test_a_transaction_that_is_open_delays_what_follows_and_no_page_for_long(
    client: httpx.AsyncClient, storage: Storage, postgres_url: str
) -> None:
    await happening(storage, "one")
    before = await page(client, START)
    assert types(before) == ["one"]
    async with connected(postgres_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval("select nextval('dataqueue.event_id_seq'), pg_current_xact_id()")
        await happening(storage, "three")
        async with asyncio.timeout(8):
            assert await page(client, ("after", "1")) == {"data": [], "next_cursor": "1"}
            # Now is as far as the log could be read: what was drawn before and is committed later is not left out.
            assert await page(client) == {"data": [], "next_cursor": "1"}
        await transaction.rollback()
    assert types(await page(client, ("after", "1"))) == ["three"]
