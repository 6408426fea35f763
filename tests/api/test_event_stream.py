"""GET /v1/events: what comes, how it is framed, which of it, and from where on (contract 4, details A11, G1, G2)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.main import Api
from app.sse import event_frame
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.event_source import PATH, Nth, Parser, Reader, nothing_is_left, reading
from tests.api.support import JSON, NOBODYS_ID, client_of, enqueued, given_key, places, problem, shared, started
from tests.storage.given import given_job
from tests.unit.event_log import event

START = ("after", "start")


async def listed(client: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    """What a job's own list of events says."""
    response = await client.get(f"/v1/jobs/{job_id}/events")
    found: list[dict[str, Any]] = response.json()["data"]
    return found


async def cancelled(client: httpx.AsyncClient, job_id: str) -> None:
    assert (await client.post(f"/v1/jobs/{job_id}/cancel")).status_code == 200


# Framing.


async def test_a_stream_begins_with_a_place_and_tells_of_what_happens_as_it_stands_in_lists(
    api: Api, client: httpx.AsyncClient, nth: Nth
) -> None:
    await enqueued(client, job_type="before")
    async with reading(api) as reader:
        assert (reader.place, reader.parser.messages) == (nth(1), [])
        job_id = await enqueued(client, tags=["ä", "x\ny", "\u2028"], payload={"a": 1.0})
        await cancelled(client, job_id)
        assert await reader.has_heard(2) == await listed(client, job_id)
        for message, said in zip(reader.parser.messages, reader.events, strict=True):
            assert (message.event, message.last_event_id) == (said["event"], said["id"])
        assert reader.parser.is_between_blocks
        assert [message["body"][-2:] for message in reader.messages[1:]] == [b"\n\n"] * (len(reader.messages) - 1)


async def test_it_is_an_event_stream_that_nobody_may_keep_or_hold_back(api: Api) -> None:
    async with reading(api) as reader:
        headers = dict(reader.messages[0]["headers"])
        assert headers.pop(b"x-request-id")
        assert headers == {
            b"content-type": b"text/event-stream; charset=utf-8",
            b"cache-control": b"no-store",
            b"x-accel-buffering": b"no",
        }


@pytest.mark.parametrize(
    "accept", [None, "text/event-stream", "*/*", "text/event-stream, application/json", "text/html"]
)
async def test_whoever_does_not_ask_for_json_gets_a_stream(api: Api, accept: str | None) -> None:
    async with reading(api, headers={} if accept is None else {"accept": accept}) as reader:
        assert reader.status == 200


@given(tags=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)), cut=st.integers(1, 9))
def test_a_frame_holds_its_event_whatever_is_in_it_and_however_it_is_cut(tags: list[str], cut: int) -> None:
    happened = event(7, tags=tuple(tags), data='{"changes":\r\n{"a":\r1.0}\n}')
    parser = Parser()
    frame = event_frame(happened)
    for at in range(0, len(frame), cut):
        parser.feed(frame[at : at + cut])
    [message] = parser.messages
    said = json.loads(message.data)
    assert (said["id"], said["tags"], said["changes"]) == ("7", tags, {"a": 1.0})
    assert (message.event, message.last_event_id) == ("job:added", "7")
    assert parser.is_between_blocks


def test_the_parser_of_these_tests_reads_the_examples_of_the_standard() -> None:
    parser = Parser()
    for (
        byte
    ) in "\ufeff: test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\r\r\ndata:  third\r\n\r\n".encode():
        parser.feed(bytes([byte]))
    assert parser.messages == [
        ("message", "first event", "1"),
        ("message", "second event", ""),
        ("message", " third", ""),
    ]
    assert parser.comments == ["test stream"]


# Which.


async def given_events(client: httpx.AsyncClient) -> dict[str, str]:
    """Jobs of two types, with tags; one of them was cancelled."""
    jobs = {
        "plain": await enqueued(client, job_type="mail"),
        "a": await enqueued(client, job_type="mail", tags=["a"]),
        "ab": await enqueued(client, job_type="report", tags=["b", "a"]),
    }
    await cancelled(client, jobs["ab"])
    return jobs


@pytest.mark.parametrize(
    ("query", "heard"),
    [
        ([], ["plain", "a", "ab", "-ab"]),
        ([("event", "job:cancelled")], ["-ab"]),
        ([("event", "job:cancelled"), ("event", "job:added")], ["plain", "a", "ab", "-ab"]),
        ([("event", "job:failed")], []),
        ([("job_type", "mail")], ["plain", "a"]),
        ([("job_type", "mail"), ("job_type", "report"), ("job_type", "unheard-of")], ["plain", "a", "ab", "-ab"]),
        ([("job_type", "report"), ("event", "job:added")], ["ab"]),
        ([("tags", "a")], ["a", "ab", "-ab"]),
        ([("tags", "a"), ("tags", "b")], ["ab", "-ab"]),
        ([("tags", "a"), ("tags", "b"), ("tag_mode", "all")], ["ab", "-ab"]),
        ([("tags", "a"), ("tags", "x"), ("tag_mode", "any")], ["a", "ab", "-ab"]),
        ([("tags", "a"), ("tag_mode", "exact")], ["a"]),
        ([("tags", "a"), ("tags", "b"), ("tags", "b"), ("tag_mode", "exact")], ["ab", "-ab"]),
        ([("tags", "b"), ("tags", "x"), ("tag_mode", "none")], ["plain", "a"]),
        ([("job_id", "a"), ("job_id", "plain")], ["plain", "a"]),
        ([("job_id", "ab"), ("event", "job:cancelled"), ("tags", "a"), ("job_type", "report")], ["-ab"]),
        ([("job_id", "ab"), ("job_type", "mail")], []),
        ([("job_id", NOBODYS_ID)], []),
    ],
)  # fmt: skip
async def test_filters_narrow_what_was_and_what_comes_alike(
    api: Api, client: httpx.AsyncClient, query: list[tuple[str, str]], heard: list[str]
) -> None:
    jobs = await given_events(client)
    asked = [(name, jobs.get(value, value) if name == "job_id" else value) for name, value in query]
    expected = [(jobs[one.removeprefix("-")], "job:cancelled" if one.startswith("-") else "job:added") for one in heard]
    async with reading(api, START, *asked) as reader:
        await reader.has_heard(len(heard))
        assert [(said["job_id"], said["event"]) for said in reader.events] == expected
        again = await given_events(client)
        async with reading(api, START) as everything:
            await everything.has_heard(8)
        later = [] if asked and asked[0][0] == "job_id" else heard
        await reader.has_heard(len(heard) + len(later))
        told = {job_id: name for name, job_id in again.items()}
        said = [
            ("-" if one["event"] == "job:cancelled" else "") + told[one["job_id"]]
            for one in reader.events[len(heard) :]
        ]
        assert said == later


async def test_an_event_has_the_tags_its_job_had_then_though_they_were_edited_and_it_was_deleted(
    api: Api, client: httpx.AsyncClient
) -> None:
    job_id = await enqueued(client, job_type="mail", tags=["old"])
    async with reading(api, ("tags", "old")) as old, reading(api, ("tags", "new")) as new:
        response = await client.patch(f"/v1/jobs/{job_id}", content=b'{"tags":["new"]}', headers=JSON)
        assert response.status_code == 200, response.text
        await cancelled(client, job_id)
        assert (await client.delete(f"/v1/jobs/{job_id}")).status_code in (200, 204)
        await enqueued(client, job_type="last", tags=["old", "new"])
        async with reading(api, START) as everything:
            said = await everything.has_heard(4)
        assert [(one["event"], one["tags"]) for one in said[:3]] == [
            ("job:added", ["old"]), ("job:edited", ["new"]), ("job:cancelled", ["new"])
        ]  # fmt: skip
        await old.has_heard(1)
        await new.has_heard(3)
    assert old.heard == [("last", "job:added")]
    assert new.heard == [("mail", "job:edited"), ("mail", "job:cancelled"), ("last", "job:added")]
    async with reading(api, START, ("job_id", job_id), ("tags", "old")) as later:
        await later.has_heard(1)
        assert later.heard == [("mail", "job:added")]


async def test_what_happens_in_another_namespace_is_never_seen(storage: Storage) -> None:
    ours, theirs = await given_key(storage, Scope.ADMIN), await given_key(storage, Scope.ADMIN, namespace="theirs")
    async with started(storage) as api, client_of(api, key=ours) as us, client_of(api, key=theirs) as them:
        their_job = await enqueued(them, job_type="theirs", tags=["t"])
        as_us = {"authorization": f"Bearer {ours}"}
        queries = [[], [("job_id", their_job)], [("job_type", "theirs")], [("tags", "t")], [("event", "job:added")]]
        readers = [Reader(api, START, *query, headers=as_us) for query in queries]
        for reader in readers:
            await reader.is_connected()
        await enqueued(them, job_type="theirs", tags=["t"])
        await enqueued(us, job_type="ours")
        await readers[0].has_heard(1)
        await readers[-1].has_heard(1)
        for reader in readers:
            await reader.hangs_up()
        assert [reader.heard for reader in readers] == [[("ours", "job:added")], [], [], [], [("ours", "job:added")]]
        nothing_is_left(api)


# From where on.


async def test_to_resume_is_to_go_on_exactly_after_whichever_event_it_was(
    api: Api, client: httpx.AsyncClient, nth: Nth
) -> None:
    for number in range(5):
        await enqueued(client, job_type=f"t{number}")
    for number in range(6):
        for where in ({"last-event-id": nth(number)}, None):
            query = [] if where else [("after", nth(number))]
            async with reading(api, *query, headers=where) as reader:
                assert reader.place in (nth(number), nth(5))
                await reader.has_heard(5 - number)
                assert [said["id"] for said in reader.events] == [nth(n) for n in range(number + 1, 6)]
                assert reader.parser.places[0] == nth(number)


async def test_the_header_wins_over_the_parameter_and_an_empty_one_says_nothing(
    api: Api, client: httpx.AsyncClient, nth: Nth
) -> None:
    for number in range(4):
        await enqueued(client, job_type=f"t{number}")
    cases = [
        (nth(1), nth(3), 3),
        (nth(1), "start", 3),
        (nth(3), "now", 1),
        (nth(4), nth(2), 0),
        ("", nth(2), 2),
        ("", "now", 0),
    ]
    for header, after, count in cases:
        async with reading(api, ("after", after), headers={"last-event-id": header}) as reader:
            await reader.has_heard(count)


async def test_without_a_place_it_begins_now(api: Api, client: httpx.AsyncClient) -> None:
    await enqueued(client, job_type="before")
    for query in ([], [("after", "now")]):
        async with reading(api, *query) as reader:
            at = reader.place
            await enqueued(client, job_type="later")
            [said] = await reader.has_heard(1)
            assert (said["job_type"], int(said["id"])) == ("later", int(at) + 1)


async def test_a_reader_that_drops_out_after_each_event_sees_each_once(api: Api, client: httpx.AsyncClient) -> None:
    place, seen = ("after", "start"), []
    for number in range(6):
        await enqueued(client, job_type=f"t{number}")
        if number % 2:
            continue
        async with reading(api, place) as reader:
            said = await reader.has_heard(1 if number == 0 else 2)
            seen += [one["job_type"] for one in said]
            place = ("after", reader.place)
    assert seen == [f"t{number}" for number in range(5)]


async def test_a_filter_changes_no_position(api: Api, client: httpx.AsyncClient, nth: Nth) -> None:
    for number in range(4):
        await enqueued(client, job_type="odd" if number % 2 else "even")
    async with reading(api, START, ("job_type", "odd")) as reader:
        assert [said["id"] for said in await reader.has_heard(2)] == [nth(2), nth(4)]
    async with reading(api, ("after", nth(2))) as reader:
        assert [said["id"] for said in await reader.has_heard(2)] == [nth(3), nth(4)]


async def test_a_long_backlog_comes_whole(api: Api, client: httpx.AsyncClient, storage: Storage, nth: Nth) -> None:
    for _ in range(2):
        jobs = [{"job_type": "mail"}] * 700
        assert (await client.post("/v1/jobs/batch", json={"jobs": jobs})).status_code in (200, 201)
    await given_job(storage, status=JobStatus.COMPLETED)
    async with reading(api, START) as reader:
        said = await reader.has_heard(1403)
        assert [one["id"] for one in said] == [nth(n) for n in range(1, 1404)]


async def test_a_position_that_the_log_does_not_reach_is_gone(api: Api, client: httpx.AsyncClient, nth: Nth) -> None:
    await enqueued(client)
    for position in (nth(2), "9" * 18):
        reader = Reader(api, ("after", position))
        await reader.ends()
        problem(reader.response, 410, "position_expired")
    nothing_is_left(api)


# What is refused.


@shared
@pytest.mark.parametrize(
    "after",
    ["", " ", "-1", "+1", "1.0", "1e3", "abc", "START", "\u0663", "\uff11", "9" * 19, "9" * 40, "0x1", "1 ", "null"],
)
async def test_a_place_is_a_position_now_or_start(bystander: httpx.AsyncClient, after: str) -> None:
    for headers in ({}, {"last-event-id": "0"}):
        response = await bystander.get(PATH, params={"after": after}, headers=headers)
        assert places(problem(response, 422, "validation_failed")) == [["query", "after"]]


@shared
@pytest.mark.parametrize("header", ["-1", "now", "start", "abc", "9" * 19, "1.0", "1, 2", "\u0663"])
async def test_a_last_event_id_is_a_position(bystander: httpx.AsyncClient, header: str) -> None:
    response = await bystander.get(PATH, headers={b"last-event-id": header.encode()})
    assert places(problem(response, 422, "validation_failed")) == [["header", "last-event-id"]]


@shared
@pytest.mark.parametrize(
    ("query", "code", "at"),
    [
        ("limit=10", "validation_failed", "limit"),
        ("group_id=a", "not_available", "group_id"),
        ("event=cron:enqueued", "not_available", "event"),
        ("event=webhook:opened", "not_available", "event"),
        ("event=queue:error", "not_available", "event"),
        ("event=job:unheard-of", "validation_failed", "event"),
        ("event=", "validation_failed", "event"),
        ("event=JOB:ADDED", "validation_failed", "event"),
        ("event=job:added,job:failed", "validation_failed", "event"),
        ("tag_mode=any", "validation_failed", "tag_mode"),
        ("tags=a&tag_mode=some", "validation_failed", "tag_mode"),
        ("tags=", "validation_failed", "tags"),
        ("tags=" + "x" * 256, "validation_failed", "tags"),
        ("&".join(f"tags={n}" for n in range(51)), "validation_failed", "tags"),
        ("job_id=7", "validation_failed", "job_id"),
        ("job_type=a%20b", "validation_failed", "job_type"),
        ("after=1&after=2", "validation_failed", "after"),
        ("cursor=1", "validation_failed", "cursor"),
        ("status=pending", "validation_failed", "status"),
        ("ticket=" + "x" * 201, "unauthenticated", ""),
    ],
)
async def test_what_means_nothing_is_refused(bystander: httpx.AsyncClient, query: str, code: str, at: str) -> None:
    response = await bystander.get(f"{PATH}?{query}")
    found = problem(response, 401 if code == "unauthenticated" else 422, code)
    assert [place[:2] for place in places(found)] == [["query", at]] if at else "errors" not in found


@shared
async def test_a_header_given_twice_is_refused(bystander: httpx.AsyncClient) -> None:
    response = await bystander.get(PATH, headers=[("last-event-id", "1"), ("last-event-id", "2")])
    assert places(problem(response, 422, "validation_failed")) == [["header", "last-event-id"]]
