"""Answers that are lost while durable jobs work: what was done is found done, and is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dataqueue.domain.events import EventName
from dataqueue.domain.job import Json, Note, Reported
from dataqueue.domain.steps import NewStep
from dataqueue.domain.tokens import NewToken
from dataqueue.errors import StorageUnavailable
from dataqueue.ids import new_id
from dataqueue.storage.opening import open_storage
from dataqueue.storage.port import Storage
from tests.storage.given import (
    AN_HOUR,
    NAMESPACE,
    a_wait_for,
    given_claimed_job,
    given_token,
    given_waiting_job,
    save,
    steps_of,
    told,
)
from tests.storage.severing import Severing


@pytest.fixture
async def severed(postgres_url: str, tmp_path: Path) -> AsyncIterator[tuple[Severing, Storage]]:
    """A storage whose connections can be cut after a statement, before its answer."""
    severing = Severing(postgres_url, tmp_path)
    server = await asyncio.start_unix_server(severing.serve, path=str(severing.path))
    storage = open_storage(severing.url)
    yield severing, storage
    await storage.close()
    server.close()


async def test_steps_whose_answer_is_lost_are_stored_once(severed: tuple[Severing, Storage]) -> None:
    severing, storage = severed
    held, id = await given_claimed_job(storage), new_id()
    steps = [NewStep(name="charge", value=Json("1")), NewStep(name="ask", token=NewToken(id=id))]
    severing.cut_when("insert into dataqueue.step ")
    with pytest.raises(StorageUnavailable) as lost:
        await save(storage, held.lease, *steps)
    assert (lost.value.outcome_unknown, severing.cuts) == (True, 1)
    stored = await steps_of(storage, held.id)
    assert [await save(storage, held.lease, step) for step in steps] == stored
    assert (await told(storage, held.id))[2:] == [EventName.STEP_COMPLETED, EventName.TOKEN_CREATED]
    assert (await storage.tokens(NAMESPACE).get(id)).job_id == held.id


async def test_a_suspend_whose_answer_is_lost_is_a_duplicate_when_it_is_repeated(
    severed: tuple[Severing, Storage],
) -> None:
    severing, storage = severed
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    severing.cut_when("insert into dataqueue.step ")
    with pytest.raises(StorageUnavailable):
        await jobs.suspend([held.lease], waits=[[AN_HOUR]])
    assert await jobs.suspend([held.lease], waits=[[AN_HOUR]]) == [Reported.DUPLICATE]
    assert (await told(storage, held.id)).count(EventName.WAITING) == 1


async def test_a_note_whose_answer_is_lost_can_be_repeated(severed: tuple[Severing, Storage]) -> None:
    severing, storage = severed
    jobs, held = storage.jobs(NAMESPACE), await given_claimed_job(storage)
    severing.cut_when("insert into dataqueue.job_result")
    with pytest.raises(StorageUnavailable):
        await jobs.note([held.lease], notes=[Note(progress=5)])
    assert await jobs.note([held.lease], notes=[Note(progress=5)]) == [Reported.OK]
    assert (await jobs.get(held.id)).progress == 5


async def test_a_completion_of_a_token_whose_answer_is_lost_is_found_done_when_it_is_repeated(
    severed: tuple[Severing, Storage],
) -> None:
    severing, storage = severed
    token = await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token))
    severing.cut_when("COMMIT")
    with pytest.raises(StorageUnavailable) as lost:
        await storage.tokens(NAMESPACE).complete(token.id, output=Json("1"))
    assert lost.value.outcome_unknown
    again = await storage.tokens(NAMESPACE).complete(token.id, output=Json("1"))
    assert (again.token.output, again.is_first) == ("1", False)
    assert (await told(storage, held.id)).count(EventName.RESUMED) == 1


async def test_a_completion_that_is_cut_off_before_its_end_has_not_happened(severed: tuple[Severing, Storage]) -> None:
    severing, storage = severed
    tokens, token = storage.tokens(NAMESPACE), await given_token(storage)
    held = await given_waiting_job(storage, a_wait_for(token))
    severing.cut_when("update dataqueue.token")
    with pytest.raises(StorageUnavailable):
        await tokens.complete(token.id, output=Json("1"))
    ended = await tokens.complete(token.id, output=Json("2"))
    assert (ended.token.output, ended.is_first) == ("2", True)
    assert ended.woken == {held.job_type}
