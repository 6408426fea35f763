"""A transaction that somebody keeps open on PostgreSQL, as /metrics shows it."""

from __future__ import annotations

import httpx

from app.main import Api
from tests.api.scraping import scrape
from tests.api.support import enqueued, eventually
from tests.storage.raw import connected


async def test_a_transaction_that_holds_events_back_is_seen_for_as_long_as_somebody_follows(
    api: Api, client: httpx.AsyncClient, postgres_url: str
) -> None:
    async def is_held_back() -> bool:
        return bool((await scrape(client)).value("event_delay_seconds"))

    async def is_not() -> bool:
        return not await is_held_back()

    async with connected(postgres_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval("select pg_current_xact_id()")
        await enqueued(client)
        with api.service.hub.following("default"):
            await eventually("events are held back", is_held_back)
        assert await is_not()
        with api.service.hub.following("default"):
            await eventually("they still are", is_held_back)
            await transaction.commit()
            await eventually("they are no longer", is_not)
