"""POST /v1/jobs/import while it goes on: callers and storages that are slow, or leave (details C17)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from app.lines import LineReader, Rejected
from app.main import Api
from dataqueue.domain.job import NewJob
from dataqueue.errors import StorageNotReady, StorageUnavailable
from tests.api.streams import PATH, Caller, Intercepted, imported, lines_of, raising, summary
from tests.api.support import eventually, problem, read, stored


async def test_a_caller_that_reads_as_it_goes_is_answered_as_it_goes(api: Api, client: httpx.AsyncClient) -> None:
    caller = Caller(api)
    for number in (1, 2, 3):
        caller.sends(lines_of({"job_type": "report"}))
        await caller.has_read(number)
        assert await read(client, caller.answers[-1]["id"])
        assert not caller.was_told_the_end
    caller.sends(b"", more=False)
    await caller.task
    assert caller.answers[-1] == summary(3, created=3)
    assert caller.was_told_the_end


async def test_a_caller_may_read_nothing_until_it_has_sent_everything(
    client: httpx.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.importing.IN_MEMORY", 1 << 10)
    caller = Caller(api)
    caller.reads.clear()
    for start in range(0, 6000, 200):
        numbers = range(start, start + 200)
        caller.sends(lines_of(*({"job_type": "report", "payload": number} for number in numbers)))
        await caller.has_been_heard()
    caller.sends(b"", more=False)
    await caller.has_been_heard()
    assert caller.messages == []
    caller.reads.set()
    await caller.task
    *answers, last = caller.answers
    assert [answer["line"] for answer in answers] == list(range(1, 6001))
    assert last == summary(6000, created=6000)


async def test_answers_come_after_the_write_and_not_before(
    client: httpx.AsyncClient, api: Api, writes: Intercepted
) -> None:
    caller = Caller(api)
    writes.open.clear()
    caller.sends(lines_of({"job_type": "report"}, {"job_type": "bad", "x": 1}))
    caller.sends(b"", more=False)
    await caller.has_been_heard()
    await asyncio.sleep(0)
    assert caller.messages == []
    writes.open.set()
    await caller.task
    assert caller.answers[-1] == summary(2, created=1, rejected=1)


async def test_what_a_caller_had_sent_is_stored_when_it_hangs_up(api: Api, client: httpx.AsyncClient) -> None:
    caller = Caller(api)
    caller.sends(lines_of(*({"job_type": "report"} for _ in range(20))) + b'{"job_type":"report"}')
    caller.hangs_up()
    await caller.task
    assert await stored(client) == 20


async def test_a_write_goes_on_when_the_import_is_cancelled(
    api: Api, client: httpx.AsyncClient, writes: Intercepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines_read = _counting(monkeypatch)
    writes.open.clear()
    caller = Caller(api)
    caller.sends(lines_of(*({"job_type": "report"} for _ in range(2000))))
    await eventually("the second thousand waits for the first", lambda: lines_read() == 2000)
    caller.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller.task
    writes.open.set()
    await api.service.settle()
    assert await stored(client) == 1000


async def test_a_caller_that_never_reads_is_given_up_once_it_has_sent_everything(
    api: Api, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.importing._LONGEST_STALL", 0.02)
    caller = Caller(api)
    caller.reads.clear()
    caller.sends(lines_of({"job_type": "report"}), more=False)
    await caller.task
    assert caller.messages == []
    assert await stored(client) == 1


@pytest.mark.parametrize("error", [StorageUnavailable("away"), StorageNotReady("not migrated")])
async def test_a_storage_that_is_away_from_the_start_is_a_503(
    client: httpx.AsyncClient, writes: Intercepted, error: Exception
) -> None:
    writes.before = raising(error)
    response = await client.post(PATH, content=lines_of({"job_type": "report"}, {"job_type": "bad", "x": 1}))
    problem(response, 503, error.code)  # type: ignore[attr-defined]
    assert response.headers["retry-after"] == "1"


async def test_a_storage_that_goes_away_ends_the_answer_with_what_was_not_stored_and_without_a_summary(
    api: Api, client: httpx.AsyncClient, writes: Intercepted
) -> None:
    caller = Caller(api)
    caller.sends(lines_of({"job_type": "report"}))
    await caller.has_read(1)
    writes.before = raising(StorageUnavailable("away"))
    caller.sends(lines_of({"job_type": "report"}, {"job_type": "report"}))
    await caller.task
    assert caller.was_told_the_end
    assert [answer["line"] for answer in caller.answers] == [1, 2, 3]
    assert [answer["error"]["code"] for answer in caller.answers[1:]] == ["storage_unavailable"] * 2
    assert "away" not in caller.body
    assert await stored(client) == 1


async def test_lines_that_were_stored_are_told_although_the_storage_is_away_from_then_on(
    client: httpx.AsyncClient, writes: Intercepted
) -> None:
    def no_keyed_ones(units: Sequence[Sequence[NewJob]]) -> None:
        if units[0][0].is_keyed:
            raise StorageUnavailable("away")

    writes.before = no_keyed_ones
    unkeyed, keyed = await imported(client, lines_of({"job_type": "a"}, {"job_type": "b", "idempotency_key": "k"}))
    assert (unkeyed["created"], keyed["error"]["code"]) == (True, "storage_unavailable")


async def test_a_write_whose_answer_was_lost_is_repeated(client: httpx.AsyncClient, writes: Intercepted) -> None:
    def once(_: Any) -> None:
        writes.before = lambda _: None
        raise StorageUnavailable("lost", outcome_unknown=True)

    writes.before = once
    assert (await imported(client, lines_of({"job_type": "report"})))[-1] == summary(1, created=1)
    assert await stored(client) == 1


async def test_a_service_that_stops_answers_what_it_has_read_and_says_no_more(
    api: Api, client: httpx.AsyncClient
) -> None:
    caller = Caller(api)
    caller.sends(lines_of(*({"job_type": "report"} for _ in range(5))))
    await caller.has_been_heard()
    await asyncio.sleep(0)
    api.service.stop_waiting()
    await caller.task
    assert [answer["line"] for answer in caller.answers] == [1, 2, 3, 4, 5]
    assert caller.was_told_the_end
    assert await stored(client) == 5
    problem(await client.post(PATH, content=lines_of({"job_type": "report"})), 503, "storage_not_ready")


async def test_others_get_their_turn_while_many_lines_are_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = 0
    read: Counter[int] = Counter()
    plain_read = LineReader.read

    def counted(reader: LineReader, line: bytes | None) -> NewJob | Rejected:
        read[turn] += 1
        return plain_read(reader, line)

    async def take_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(LineReader, "read", counted)
    other = asyncio.create_task(take_turns())
    caller = Caller(api)
    caller.sends(lines_of(*({"job_type": "report"} for _ in range(3000))), more=False)
    await caller.task
    other.cancel()
    assert max(read.values()) <= 20


def _counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many lines have been read from now on."""
    plain_read, lines = LineReader.read, 0

    def counted(reader: LineReader, line: bytes | None) -> NewJob | Rejected:
        nonlocal lines
        lines += 1
        return plain_read(reader, line)

    monkeypatch.setattr(LineReader, "read", counted)
    return lambda: lines
