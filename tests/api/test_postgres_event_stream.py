"""A stream that begins where PostgreSQL has removed the events."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dataqueue.storage.port import Storage
from tests.api.event_source import PATH, Reader, nothing_is_left, reading
from tests.api.support import client_of, problem, started
from tests.storage.given import given_job
from tests.storage.test_postgres_retention import given_day

START = ("after", "start")


@pytest.fixture
async def kept(live_storage: Storage, postgres_url: str) -> Storage:
    """A log whose first three events have been removed."""
    await given_day(postgres_url, 40, events=3)
    assert await live_storage.upkeep.prune_events(keep=timedelta(days=30)) == 3
    for job_type in ("four", "five"):
        await given_job(live_storage, job_type=job_type)
    return live_storage


async def test_a_position_whose_events_were_removed_is_gone_before_a_byte_of_a_stream(kept: Storage) -> None:
    async with started(kept) as api, client_of(api) as client:
        for position in ("0", "2"):
            for reader in (
                Reader(api, ("after", position)),
                Reader(api, headers={"last-event-id": position}),
                Reader(api, ("after", position), headers={"accept": "application/json"}),
            ):
                await reader.ends()
                found = problem(reader.response, 410, "position_expired")
                assert "after=start" in found["detail"]
        async with reading(api, ("after", "3")) as reader:
            await reader.has_heard(2)
        async with reading(api, START) as reader:
            assert [said["job_type"] for said in await reader.has_heard(2)] == ["four", "five"]
            assert reader.parser.places[0] == "3"
        assert (await client.get(PATH, params={"after": "2", "limit": "5"})).status_code == 422
        nothing_is_left(api)
