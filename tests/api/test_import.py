"""POST /v1/jobs/import: a job a line, an answer a line (details C17)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from app.main import Api
from dataqueue.domain.keys import Scope
from dataqueue.ids import new_id
from dataqueue.storage.port import Hint, Storage
from tests.api.streams import NDJSON, PATH, Intercepted, imported, lines_of, summary
from tests.api.support import client_of, given_key, places, problem, read, started, stored
from tests.hearing import listening, next_of


async def test_each_line_is_answered_in_order_and_then_all_of_them_together(client: httpx.AsyncClient) -> None:
    jobs = [{"job_type": "report", "payload": number} for number in range(3)]
    *answers, last = await imported(client, lines_of(*jobs))
    assert [answer["line"] for answer in answers] == [1, 2, 3]
    assert all(answer.keys() == {"line", "id", "created"} and answer["created"] for answer in answers)
    assert [(await read(client, answer["id"]))["payload"] for answer in answers] == [0, 1, 2]
    assert last == summary(3, created=3)


async def test_jobs_are_enqueued_in_the_order_of_the_lines_however_many_writes_it_takes(
    client: httpx.AsyncClient, storage: Storage, writes: Intercepted
) -> None:
    await imported(client, lines_of(*({"job_type": "report", "payload": number} for number in range(2500))))
    assert writes.sizes == [1000, 1000, 500]
    newest = (await client.get("/v1/jobs", params={"limit": 1000})).json()["data"]
    assert [job["payload"] for job in newest] == list(range(2499, 1499, -1))


async def test_a_job_of_a_line_has_the_fields_of_a_job(client: httpx.AsyncClient) -> None:
    own = str(new_id())
    fields = {"id": own, "tags": ["a"], "priority": 7, "delay": "1h", "retry_delay": 5, "idempotency_key": "k"}
    [answer, _] = await imported(client, lines_of({"job_type": "report", "payload": [1 << 60], **fields}))
    kept = await read(client, answer["id"])
    assert answer["id"] == own
    assert (kept["tags"], kept["priority"], kept["pending_reason"]) == (["a"], 7, "scheduled")
    assert (kept["retry_delay"], kept["idempotency_key"], kept["payload"]) == (5, "k", [1 << 60])


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"job_type":"x","payload":"\xc3\x28"}', "invalid_json"),
        (b'{"job_type":"x","payload":"\\u0000"}', "invalid_json"),
        (b'{"job_type":"x","payload":"\0"}', "invalid_json"),
        (b'{"job_type":"x","payload":NaN}', "invalid_json"),
        (b'{"job_type":"x","payload":"\\ud800"}', "invalid_json"),
        (b'{"job_type":"x","payload":' + b"[" * 65 + b"]" * 65 + b"}", "invalid_json"),
        (b'{"job_type":"x","payload":' + b"[" * 100_000, "invalid_json"),
        (b"[]", "validation_failed"),
        (b'{"payload":1}', "validation_failed"),
        (b'{"job_type":"x","ref":"a"}', "validation_failed"),
        (b'{"job_type":"x","priority":"5"}', "validation_failed"),
        (b'{"job_type":"x","delay":1,"run_at":"2031-01-01T00:00:00Z"}', "validation_failed"),
        (b'{"job_type":"x","tags":[""]}', "validation_failed"),
        (b'{"job_type":"x","payload":"' + b"x" * (256 << 10) + b'"}', "payload_too_large"),
        (b'{"job_type":"x"}' + b" " * (1 << 20), "body_too_large"),
    ],
)
async def test_a_bad_line_is_rejected_by_its_number_and_the_rest_goes_on(
    client: httpx.AsyncClient, bad: bytes, code: str
) -> None:
    good = lines_of({"job_type": "report"})
    first, second, third, last = await imported(client, good + bad + b"\n" + good)
    assert (first["line"], second["line"], third["line"]) == (1, 2, 3)
    assert second.keys() == {"line", "error"}
    assert second["error"].keys() == {"code", "detail"}
    assert second["error"]["code"] == code
    assert last == summary(3, created=2, rejected=1)
    assert await stored(client) == 2


async def test_a_rejected_line_is_told_what_a_single_job_would_be_told_and_never_its_input(
    client: httpx.AsyncClient,
) -> None:
    bad = {"job_type": "no name, this", "payload": "secret"}
    alone = problem(await client.post("/v1/jobs", json=bad), 422, "validation_failed")
    [answer, _] = await imported(client, lines_of(bad))
    assert answer["error"] == {"code": alone["code"], "detail": alone["detail"]}
    assert "this" not in json.dumps(answer)


async def test_a_line_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(storage: Storage) -> None:
    async with started(storage, max_body_bytes=1024) as app, client_of(app) as client:
        longest = b'{"job_type":"report"}'.ljust(1024)
        taken, refused, after, last = await imported(client, longest + b"\n" + longest + b" \n" + longest)
    assert (taken["created"], after["created"]) == (True, True)
    assert refused["error"]["code"] == "body_too_large"
    assert "1024" in refused["error"]["detail"]
    assert last == summary(3, created=2, rejected=1)


@pytest.mark.parametrize("size", [1, 100, 1023, 1024, 1025, 5000])
async def test_a_line_that_is_too_long_may_come_in_pieces(storage: Storage, size: int) -> None:
    good = lines_of({"job_type": "report"})
    body = good + b"x" * 1025 + b"\n" + good + b"x" * 4000 + b"\n" + b"\n" + good + b"x" * 1025

    async def cut() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async with started(storage, max_body_bytes=1024) as app, client_of(app) as client:
        *answers, last = await imported(client, cut())
    assert [answer["line"] for answer in answers] == [1, 2, 3, 4, 6, 7]
    assert [answer["line"] for answer in answers if "error" in answer] == [2, 4, 7]
    assert last == summary(6, created=3, rejected=3)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_lines_may_be_cut_anywhere_on_the_way(client: httpx.AsyncClient, size: int) -> None:
    body = lines_of(*({"job_type": "report", "payload": "é" * number} for number in range(5))) + b"\n[]\r\n\n"
    body += b'{"job_type":"report","payload":"last"}'

    async def cut() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    *answers, last = await imported(client, cut())
    assert [answer["line"] for answer in answers] == [1, 2, 3, 4, 5, 7, 9]
    assert [(await read(client, answer["id"]))["payload"] for answer in answers if "id" in answer] == [
        *("é" * number for number in range(5)),
        "last",
    ]
    assert last == summary(7, created=6, rejected=1)


async def test_blank_lines_are_passed_over_and_counted_and_lines_may_end_as_on_windows(
    client: httpx.AsyncClient,
) -> None:
    first, second, last = await imported(client, b'\n \t\r\n{"job_type":"a"}\r\n\r\n{"job_type":"b"}\r\n\n')
    assert (first["line"], second["line"]) == (3, 5)
    assert last == summary(2, created=2)


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n  \n"])
async def test_nothing_to_import_is_no_fault(client: httpx.AsyncClient, body: bytes) -> None:
    assert await imported(client, body) == [summary(0)]


async def test_repeating_an_import_finds_what_is_there(client: httpx.AsyncClient) -> None:
    body = lines_of(*({"job_type": "report", "idempotency_key": f"k{number}"} for number in range(1500)))
    *firsts, first = await imported(client, body)
    *seconds, second = await imported(client, body + lines_of({"job_type": "report"}))
    assert first == summary(1500, created=1500)
    assert second == summary(1501, created=1, existing=1500)
    assert [answer["id"] for answer in firsts] == [answer["id"] for answer in seconds[:-1]]
    assert not any(answer["created"] for answer in seconds[:-1])


async def test_of_lines_with_the_same_key_the_first_is_the_job_however_far_apart_they_are(
    client: httpx.AsyncClient,
) -> None:
    others = [{"job_type": "report"} for _ in range(1500)]
    twins = [{"job_type": "report", "idempotency_key": "k", "payload": payload} for payload in ("one", "two")]
    answers = await imported(client, lines_of(twins[0], *others, twins[1]))
    first, second = answers[0], answers[1501]
    assert (first["created"], second["created"], first["id"]) == (True, False, second["id"])
    assert (await read(client, first["id"]))["payload"] == "one"


async def test_a_taken_id_is_rejected_alone(client: httpx.AsyncClient) -> None:
    taken, twice = str(new_id()), str(new_id())
    await client.post("/v1/jobs", json={"job_type": "report", "id": taken})
    jobs = [{"job_type": "report", "id": id} for id in (str(new_id()), taken, twice, twice, str(new_id()))]
    *answers, last = await imported(client, lines_of({"job_type": "report"}, *jobs))
    rejected = {answer["line"]: answer["error"]["code"] for answer in answers if "error" in answer}
    assert rejected == {3: "already_exists", 5: "already_exists"}
    assert last == summary(6, created=4, rejected=2)


async def test_large_lines_are_written_a_few_at_a_time(client: httpx.AsyncClient, writes: Intercepted) -> None:
    job = {"job_type": "report", "payload": "x" * (200 << 10)}
    assert (await imported(client, lines_of(*[job] * 45)))[-1] == summary(45, created=45)
    assert max(writes.sizes) < 25


async def test_who_waits_for_ready_jobs_is_told_and_who_stages_scheduled_ones(
    client: httpx.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float] = []
    monkeypatch.setattr(api.service.stager, "expect", expected.append)
    async with api.service.storage.notifier.listen() as hints, asyncio.TaskGroup() as tasks:
        await listening(hints)
        heard = tasks.create_task(next_of(hints))
        later = {"job_type": "later", "delay": 90}
        await imported(client, lines_of({"job_type": "now"}, later, {"job_type": "bad", "delay": 5, "x": 1}))
    assert heard.result() == Hint("ready", "default", ("now",))
    assert set(expected) - {0} == {90}  # at once: whoever begins to listen has missed what came before


@pytest.mark.parametrize("media_type", [None, "application/x-ndjson; charset=utf-8", "application/jsonl", "text/json"])
async def test_media_types_with_json_in_them_are_taken(client: httpx.AsyncClient, media_type: str | None) -> None:
    headers = {} if media_type is None else {"content-type": media_type}
    response = await client.post(PATH, content=lines_of({"job_type": "report"}), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/csv"}, {"content-type": "application/x-www-form-urlencoded"},
                {**NDJSON, "content-encoding": "gzip"}]
)  # fmt: skip
async def test_other_media_types_and_encodings_are_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post(PATH, content=lines_of({"job_type": "report"}), headers=headers)
    problem(response, 415, "unsupported_media_type")
    assert await stored(client) == 0


async def test_what_does_not_belong_to_a_stream_of_jobs_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, content=b"", headers={**NDJSON, "idempotency-key": "k"})
    assert places(problem(response, 422, "validation_failed")) == [["header", "idempotency-key"]]
    problem(await client.post(PATH, params={"dry_run": "1"}, content=b""), 422, "validation_failed")
    problem(await client.get(PATH), 405, "method_not_allowed")


async def test_it_takes_a_key_that_may_enqueue_and_stores_in_its_namespace(api: Api, storage: Storage) -> None:
    reader = await given_key(storage, Scope.READ)
    elsewhere = await given_key(storage, Scope.ENQUEUE, Scope.READ, namespace="elsewhere")
    body = lines_of({"job_type": "report"})
    async with client_of(api, key=reader) as client:
        problem(await client.post(PATH, content=body), 403, "insufficient_scope")
        assert await stored(client) == 0
    async with client_of(api, key=elsewhere) as client:
        await imported(client, body)
        assert await stored(client) == 1
