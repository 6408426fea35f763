"""What may be repeated is, for a while; what may not is done once at most."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import httpx
import pytest

from dataqueue import errors
from dataqueue.client import Patience, ProblemError, ServiceUnreachable
from tests.client.conftest import Speak
from tests.client.stub import JOB_ID, LOST, REFUSED, answer, problem

ENQUEUED: Final = {"id": JOB_ID, "status": "pending", "created": True}
AWAY: Final = "storage_unavailable"
KEYED: Final = {"job_type": "a", "idempotency_key": "k"}
NAMED: Final = {"job_type": "a", "id": JOB_ID}
REPEATED: Final[list[tuple[str, tuple[Any, ...], dict[str, Any]]]] = [
    ("get_job", (JOB_ID,), {}),
    ("stats", (), {}),
    ("enqueue", ("a",), {"idempotency_key": "k"}),
    ("enqueue", ("a",), {"idempotency_key": "k", "id": JOB_ID}),
    ("enqueue", ("a",), {}),
    ("complete_token", (JOB_ID, {"ok": True}), {}),
]
ONCE: Final[list[tuple[str, tuple[Any, ...], dict[str, Any]]]] = [
    ("enqueue", ("a",), {"id": JOB_ID}),
    ("enqueue_batch", ([KEYED, {"job_type": "a"}],), {}),
    ("enqueue_batch", ([NAMED, {"job_type": "a"}],), {}),
    ("create_token", (), {}),
    ("expire_tokens", (), {}),
    ("cancel", (JOB_ID,), {}),
    ("delete", (JOB_ID,), {}),
    ("edit_job", (JOB_ID,), {"priority": 1}),
    ("cancel_jobs", ({},), {}),
    ("put_job_type", ("a",), {}),
    ("run_maintenance", (), {}),
    ("import_jobs", ([{"job_type": "a"}],), {}),
]
BROKEN: Final = [
    LOST,
    REFUSED,
    problem(503, AWAY),
    problem(429, "rate_limited"),
    httpx.Response(502, text="Bad Gateway"),
    httpx.Response(504, text="Gateway Timeout"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
@pytest.mark.parametrize(("operation", "arguments", "named"), REPEATED)
async def test_what_may_be_repeated_is_asked_again_with_the_same_words(
    speak: Speak, operation: str, arguments: tuple[Any, ...], named: dict[str, Any], *, broken: Any
) -> None:
    speaker = speak(broken, broken, answer(ENQUEUED))
    assert await speaker.ask(operation, *arguments, **named) == ENQUEUED
    assert len({(request.method, request.url, request.content) for request in speaker.service.requests}) == 1


@pytest.mark.parametrize("broken", BROKEN, ids=str)
@pytest.mark.parametrize(("operation", "arguments", "named"), ONCE)
async def test_what_may_not_be_repeated_is_asked_once(
    speak: Speak, operation: str, arguments: tuple[Any, ...], named: dict[str, Any], *, broken: Any
) -> None:
    speaker = speak(broken, answer(ENQUEUED))
    with pytest.raises((ServiceUnreachable, ProblemError)):
        await speaker.ask(operation, *arguments, **named)
    assert len(speaker.service.requests) == 1


async def test_a_list_repeats_the_page_that_failed(speak: Speak) -> None:
    pages = [answer({"data": [1], "next_cursor": "c"}), LOST, problem(503, AWAY), answer({"data": [2]})]
    speaker = speak(*pages)
    assert await speaker.ask("list_jobs") == [1, 2]
    assert [request.url.params.get("cursor") for request in speaker.service.requests] == [None, "c", "c", "c"]


async def test_patience_ends(speak: Speak) -> None:
    speaker = speak(*[LOST] * 3, problem(503, AWAY, "still away"), LOST)
    with pytest.raises(errors.StorageUnavailable, match="still away"):
        await speaker.ask("stats")
    assert len(speaker.service.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
async def test_a_refusal_is_final(speak: Speak, status: int) -> None:
    speaker = speak(problem(status, "no"), answer(ENQUEUED))
    with pytest.raises(ProblemError):
        await speaker.ask("enqueue", "a", idempotency_key="k")
    assert len(speaker.service.requests) == 1


async def test_a_key_that_is_being_used_is_asked_for_again(speak: Speak) -> None:
    speaker = speak(LOST, problem(409, "idempotency_in_progress"), answer({**ENQUEUED, "created": False}))
    assert (await speaker.ask("enqueue", "a", idempotency_key="k"))["created"] is False


async def test_an_enqueue_whose_answer_was_lost_is_known_by_the_id_made_here(speak: Speak) -> None:
    speaker = speak(LOST, problem(409, "already_exists"))
    given = await speaker.ask("enqueue", "a")
    assert given == {"id": speaker.service.bodies[0]["id"], "status": "pending", "created": True}


async def test_a_batch_whose_answer_was_lost_is_known_by_the_ids_made_here(speak: Speak) -> None:
    speaker = speak(LOST, problem(409, "already_exists"))
    given = await speaker.ask("enqueue_batch", [{"job_type": "a"}, {"job_type": "b"}])
    sent = speaker.service.bodies[0]["jobs"]
    assert given == [{"id": job["id"], "status": "pending", "created": True} for job in sent]
    assert len({job["id"] for job in sent}) == 2


@pytest.mark.parametrize(
    ("operation", "argument"), [("enqueue", "a"), ("enqueue_batch", [KEYED, KEYED]), ("enqueue_batch", [NAMED])]
)
async def test_a_taken_id_that_is_not_ours_is_an_error(speak: Speak, operation: str, argument: Any) -> None:
    named = {"id": JOB_ID} if operation == "enqueue" else {}
    with pytest.raises(errors.AlreadyExists):
        await speak(problem(409, "already_exists")).ask(operation, argument, **named)


async def test_a_batch_of_jobs_with_keys_is_repeated_as_it_is(speak: Speak) -> None:
    speaker = speak(LOST, answer({"jobs": [ENQUEUED]}))
    assert await speaker.ask("enqueue_batch", [{**KEYED, "id": JOB_ID}]) == [ENQUEUED]
    assert speaker.service.bodies == [{"jobs": [{**KEYED, "id": JOB_ID}]}] * 2


async def test_the_pauses_are_waited_for(speak: Speak, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", wait)
    monkeypatch.setattr(time, "sleep", waited.append)
    away = problem(503, AWAY, retry_after="3")
    await speak(away, LOST, answer({}), patience=Patience(first=0.5)).ask("stats")
    assert waited[0] == 3
    assert 0.5 <= waited[1] <= 1
    assert len(waited) == 2


async def test_a_pause_longer_than_patience_is_not_waited_for(speak: Speak) -> None:
    speaker = speak(problem(503, AWAY, retry_after="11"), answer({}))
    with pytest.raises(errors.StorageUnavailable):
        await speaker.ask("stats")
    assert len(speaker.service.requests) == 1


def test_the_pauses_double_up_to_the_longest_and_vary() -> None:
    patience = Patience(tries=7, first=1, longest=8)
    for failures, ceiling in enumerate([1, 2, 4, 8, 8, 8], start=1):
        drawn = {patience.pause(failures) for _ in range(20)}
        assert all(pause is not None and ceiling / 2 <= pause <= ceiling for pause in drawn)
        assert len(drawn) > 1
    assert patience.pause(7) is None


@pytest.mark.parametrize(
    ("asked", "pause"), [("5", 5), ("0", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-1", 0), ("²", 0)]
)
async def test_only_a_number_of_seconds_is_a_pause_asked_for(
    speak: Speak, monkeypatch: pytest.MonkeyPatch, asked: str, pause: float
) -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", wait)
    monkeypatch.setattr(time, "sleep", waited.append)
    response = problem(503, AWAY)
    response.headers = httpx.Headers([(b"retry-after", asked.encode("latin-1"))])
    await speak(response, answer({})).ask("stats")
    assert waited == [pause]


async def test_a_call_may_take_the_time_it_waits_for_and_a_connection_may_not(speak: Speak) -> None:
    speaker = speak(*[answer({"data": []})] * 3, timeout=20.0)
    for operation, arguments, named in (("get_job", (JOB_ID,), {"wait": "1m"}), ("stats", (), {}), ("workers", (), {})):
        await speaker.ask(operation, *arguments, **named)
    allowed = [request.extensions["timeout"] for request in speaker.service.requests]
    assert [(one["read"], one["connect"], one["pool"]) for one in allowed] == [
        (80, 5, None),
        (20, 5, None),
        (20, 5, None),
    ]


async def test_a_bulk_change_may_take_long(speak: Speak) -> None:
    speaker = speak(answer({}))
    await speaker.ask("cancel_jobs", {})
    assert speaker.service.request.extensions["timeout"]["read"] > 300
