"""An event stream from its opening to its end, whoever ends it, and what is left of it then: nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.main import Api
from app.sse import QUIET
from dataqueue.domain.keys import Scope, digest_of
from dataqueue.errors import PositionExpired, StorageNotReady, StorageUnavailable
from dataqueue.storage.port import Hint, Storage
from tests.api.event_source import SOON, Nth, Reader, nothing_is_left, reading
from tests.api.support import client_of, enqueued, eventually, given_key, problem, started
from tests.storage.given import NAMESPACE, new_job
from tests.storage.past_the_port import away, revoke

START = ("after", "start")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not read is given up at once."""
    monkeypatch.setattr("app.sse._SEND_WITHIN", 0.05)
    monkeypatch.setattr("app.sse._GOODBYE_WITHIN", 0.05)


@pytest.fixture
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life, and looks at the key, many times a second."""
    for module in ("app.sse", "app.api.events"):
        monkeypatch.setattr(f"{module}.QUIET", 0.03)


async def happening(storage: Storage, count: int) -> None:
    """So many jobs are added."""
    await storage.jobs(NAMESPACE).enqueue([[new_job(job_type="mail") for _ in range(count)]])


def reasons(logs: Any) -> list[str]:
    return [f"{entry['event']} {entry.get('reason', '')}".strip() for entry in logs if "stream." in entry["event"]]


# Signs of life.


@pytest.mark.usefixtures("lively")
async def test_a_quiet_stream_gives_signs_of_life_that_move_its_place_on(
    api: Api, client: httpx.AsyncClient, nth: Nth
) -> None:
    async with reading(api, ("job_type", "mail")) as reader:
        assert reader.place == "0"
        for _ in range(3):
            await enqueued(client, job_type="other")
        await eventually("it has moved on", lambda: reader.place == nth(3))
        assert reader.parser.messages == []
        assert set(reader.parser.comments) == {"connected", "ping"}
        await enqueued(client, job_type="mail")
        assert [said["id"] for said in await reader.has_heard(1)] == [nth(4)]
        pings = reader.parser.comments.count("ping")
        await eventually("and another", lambda: reader.parser.comments.count("ping") > pings)
        assert reader.place == nth(4)


def test_a_sign_of_life_comes_every_15_seconds() -> None:
    assert QUIET == 15


# How many.


async def test_as_many_streams_as_there_may_be_and_then_one_more(storage: Storage) -> None:
    async with started(storage, max_streams=1) as api, client_of(api) as client:
        async with reading(api, ("job_type", "mail")):
            refused = Reader(api)
            await refused.ends()
            problem(refused.response, 429, "too_many_streams")
            assert refused.response.headers["retry-after"] == "5"
            paged = await client.get("/v1/events", headers={"accept": "application/json"})
            assert paged.status_code == 200, "a page is no stream"
        async with reading(api):
            pass
        nothing_is_left(api)


async def test_who_come_together_do_not_get_in_past_each_other(storage: Storage) -> None:
    async with started(storage, max_streams=2) as api:
        readers = [Reader(api, START) for _ in range(5)]
        await eventually("all were answered", lambda: all(reader.status for reader in readers))
        assert sorted(reader.status or 0 for reader in readers) == [200, 200, 429, 429, 429]
        for reader in readers:
            await reader.hangs_up()
        nothing_is_left(api)


async def test_a_stream_that_was_never_opened_takes_no_place(storage: Storage) -> None:
    async with started(storage, max_streams=1) as api:
        for _ in range(3):
            refused = Reader(api, ("after", "9"))
            await refused.ends()
            problem(refused.response, 410, "position_expired")
        nothing_is_left(api)


# Its end.


async def test_a_head_has_the_headers_and_ends(api: Api) -> None:
    reader = Reader(api, method="HEAD")
    await reader.ends()
    assert (reader.status, reader.has_ended, reader.response.content) == (200, True, b"")
    assert reader.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    nothing_is_left(api)


async def test_a_reader_that_hangs_up_leaves_nothing_behind(api: Api, client: httpx.AsyncClient) -> None:
    async with reading(api, START) as reader:
        await enqueued(client)
        await reader.has_heard(1)
        assert api.service.hub.followers == 1
    nothing_is_left(api)
    count = len(reader.messages)
    await enqueued(client)
    async with reading(api, START) as later:
        await later.has_heard(2)
    assert len(reader.messages) == count
    assert not reader.has_ended, "there is nobody to say goodbye to"


async def test_a_reader_that_hangs_up_while_it_is_sent_something_leaves_nothing_behind(
    api: Api, storage: Storage
) -> None:
    await happening(storage, 3)
    async with reading(api) as reader:
        reader.reads.clear()
        await happening(storage, 3)
        reader._hangs_up.set()
        await reader.ends()
    nothing_is_left(api)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("from_when", ["from the headers on", "from an event on"])
async def test_a_reader_that_does_not_read_is_given_up_and_leaves_nothing_behind(
    api: Api, storage: Storage, from_when: str
) -> None:
    with capture_logs() as logs:
        reader = Reader(api)
        if from_when == "from the headers on":
            reader.reads.clear()
        else:
            await reader.is_connected()
            reader.reads.clear()
            await happening(storage, 1)
        await reader.ends()
        nothing_is_left(api)
    assert reasons(logs) == ["stream.cut_off TimeoutError"]
    assert not reader.has_ended


async def test_a_reader_that_falls_behind_is_told_to_come_back_and_resumes_where_it_was(
    api: Api, storage: Storage, nth: Nth
) -> None:
    async with reading(api) as reader, reading(api) as other:
        await happening(storage, 1)
        await reader.has_heard(1)
        reader.reads.clear()
        await happening(storage, 1)
        for number in range(1, 4):
            await happening(storage, 500)
            await other.has_heard(2 + 500 * number)
        assert api.service.hub.cut_off == 1
        assert not any(one._waiting for one in api.service.hub._index.of("default")), "nothing is kept for it"
        with capture_logs() as logs:
            reader.reads.set()
            await reader.ends()
        assert reasons(logs) == ["stream.cut_off FellBehind"]
        assert reader.has_ended
        assert reader.parser.is_between_blocks
        assert (reader.parser.retry or 0) >= 500
        seen = [said["id"] for said in reader.events]
        assert len(seen) < 500
    async with reading(api, headers={"last-event-id": reader.place}) as again:
        seen += [said["id"] for said in await again.has_heard(1502 - len(seen))]
    assert seen == [nth(n) for n in range(1, 1503)]
    nothing_is_left(api)


async def test_a_stop_ends_every_stream_with_a_hint_when_to_come_back(api: Api, storage: Storage, nth: Nth) -> None:
    readers = [Reader(api) for _ in range(30)]
    for reader in readers:
        await reader.is_connected()
    await happening(storage, 1)
    for reader in readers:
        await reader.has_heard(1)
    api.service.stop_waiting()
    for reader in readers:
        await reader.ends()
        assert reader.has_ended
        assert reader.parser.is_between_blocks
        assert reader.parser.comments[-1] == "goodbye"
        assert reader.place == nth(1), "a goodbye changes no place"
    waits = [reader.parser.retry or 0 for reader in readers]
    assert all(500 <= wait <= 3000 for wait in waits)
    assert len(set(waits)) > 15, "they would all come back at once"
    late = Reader(api)
    await late.ends()
    assert (late.status, late.has_ended, late.parser.comments[-1]) == (200, True, "goodbye")
    nothing_is_left(api)


@pytest.mark.usefixtures("impatient")
async def test_a_stop_waits_for_no_reader_that_does_not_read(api: Api, storage: Storage) -> None:
    async with reading(api) as reader:
        reader.reads.clear()
        await happening(storage, 1)
        api.service.stop_waiting()
        await reader.ends()
        nothing_is_left(api)


async def test_the_end_of_the_service_ends_its_streams(storage: Storage) -> None:
    async with started(storage) as api:
        reader = Reader(api)
        await reader.is_connected()
    await reader.ends()
    assert reader.has_ended
    nothing_is_left(api)


# Keys.


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer about a key is remembered."""
    monkeypatch.setattr("app.auth.FRESH_FOR", 0.0)


@pytest.mark.usefixtures("lively", "forgetful")
@pytest.mark.parametrize("query", [[], [("ticket", "any")], [("ticket", "")]], ids=["key", "key and ticket", "empty"])
async def test_a_revoked_key_ends_its_streams(storage: Storage, storage_url: str, query: list[tuple[str, str]]) -> None:
    kept, lost = await given_key(storage, Scope.READ), await given_key(storage, Scope.READ)
    async with started(storage) as api:
        staying = Reader(api, *query, headers={"authorization": f"Bearer {kept}"})
        leaving = Reader(api, *query, headers={"authorization": f"Bearer {lost}"})
        await staying.is_connected()
        await leaving.is_connected()
        await revoke(storage_url, digest_of(lost))
        await leaving.ends()
        assert leaving.has_ended
        await happening(storage, 1)
        await staying.has_heard(1)
        assert leaving.parser.messages == []
        again = Reader(api, headers={"authorization": f"Bearer {lost}"})
        await again.ends()
        problem(again.response, 401, "unauthenticated")
        await staying.hangs_up()
        nothing_is_left(api)


@pytest.mark.usefixtures("lively", "forgetful")
async def test_the_first_key_ends_the_streams_of_who_has_none(api: Api, storage: Storage) -> None:
    async with reading(api) as reader:
        await given_key(storage, Scope.READ)
        await reader.ends()
        assert reader.has_ended


@pytest.mark.usefixtures("lively", "forgetful")
@pytest.mark.parametrize("error", [StorageUnavailable("away"), StorageNotReady("not migrated")])
async def test_a_key_that_cannot_be_looked_up_is_as_good_as_it_was(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    key = await given_key(storage, Scope.READ)
    async with started(storage) as api, reading(api, headers={"authorization": f"Bearer {key}"}) as reader:
        asked = 0

        async def away(digest: bytes) -> None:
            nonlocal asked
            asked += 1
            raise error

        monkeypatch.setattr(storage.keys, "find", away)
        await eventually("it was asked several times", lambda: asked > 3)
        await happening(storage, 1)
        await reader.has_heard(1)


# What goes wrong.


@pytest.mark.usefixtures("lively")
async def test_a_storage_that_is_away_for_a_while_ends_no_stream(storage_url: str, storage: Storage) -> None:
    key = await given_key(storage, Scope.READ)
    async with started(storage) as api, reading(api, headers={"authorization": f"Bearer {key}"}) as reader:
        await happening(storage, 1)
        await reader.has_heard(1)
        with capture_logs() as logs:
            async with away(storage_url):
                noticed = "events.not_read"
                await eventually("it is noticed", lambda: any(entry["event"] == noticed for entry in logs))
                pings = reader.parser.comments.count("ping")
                await eventually("it lives on", lambda: reader.parser.comments.count("ping") > pings + 2)
        await eventually("the storage is back", lambda: _succeeds(storage))
        await eventually("all was told", lambda: len(reader.parser.messages) >= 2)
        await happening(storage, 1)
        await reader.has_heard(3)
        assert not reader.has_ended


async def _succeeds(storage: Storage) -> bool:
    try:
        await happening(storage, 1)
    except StorageUnavailable:
        return False
    return True


async def test_a_storage_that_is_away_when_a_stream_is_opened_is_a_503(
    api: Api, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(storage.events(NAMESPACE), "bounds", away)
    reader = Reader(api, START)
    await reader.ends()
    problem(reader.response, 503, "storage_unavailable")
    nothing_is_left(api)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StorageUnavailable("away"), "stream.ended"),
        (StorageNotReady("not migrated"), "stream.ended"),
        (PositionExpired("gone"), "stream.cut_off PositionExpired"),
        (RuntimeError("secret"), "stream.failed"),
    ],
)
async def test_whatever_goes_wrong_as_the_past_is_read_ends_the_stream_in_order(
    api: Api, storage: Storage, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise error

    await happening(storage, 1)
    monkeypatch.setattr(storage.events(NAMESPACE), "page", broken)
    with capture_logs() as logs:
        reader = Reader(api, START)
        await reader.ends()
    assert reasons(logs) == [said]
    assert (reader.has_ended, reader.place, reader.parser.comments) == (True, "0", ["connected", "goodbye"])
    assert b"secret" not in reader.response.content
    nothing_is_left(api)


async def test_a_hint_of_another_process_has_it_looked_at_once(live_storage: Storage) -> None:
    async with started(live_storage) as api, reading(api, ("job_type", "mail")):
        looked = asyncio.Event()
        api.service.hub.nudge = looked.set  # type: ignore[method-assign]  # what is called is what is asked

        async def say_until_heard() -> bool:
            await live_storage.notifier.publish(Hint("ready", NAMESPACE, ("mail",)))
            return looked.is_set()

        await eventually("the hint was heard", say_until_heard, seconds=SOON)
