"""What each operation sends, and what the caller gets of the answer."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from dataqueue.client import AsyncClient, Client, operations
from dataqueue.client.encoding import decode
from dataqueue.domain.job import JobStatus
from dataqueue.ids import is_uuid7
from tests.client.conftest import Speak
from tests.client.stub import JOB_ID, answer

AT: Final = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
JOB: Final = f"/v1/jobs/{JOB_ID}"
TOKEN: Final = f"/v1/tokens/{JOB_ID}"
SOME: Final = {"status": "failed", "tags": ("a", "b"), "run_at": {"lt": AT}, "created_at": AT}
SOME_JSON: Final = {
    "status": "failed",
    "tags": ["a", "b"],
    "run_at": {"lt": "2026-11-24T01:02:03.000000Z"},
    "created_at": "2026-11-24T01:02:03.000000Z",
}
SENT: Final[list[tuple[str, tuple[Any, ...], dict[str, Any], str, Any]]] = [
    ("get_job", (JOB_ID,), {}, f"GET {JOB}", None),
    ("get_job", (UUID(JOB_ID),), {"wait": timedelta(seconds=30)}, f"GET {JOB}?wait=30.000000", None),
    ("edit_job", (JOB_ID,), {"priority": None, "run_at": AT}, f"PATCH {JOB}",
        {"priority": None, "run_at": "2026-11-24T01:02:03.000000Z"}),
    ("cancel", (JOB_ID,), {}, f"POST {JOB}/cancel", None),
    ("retry", (JOB_ID,), {}, f"POST {JOB}/retry", None),
    ("delete", (JOB_ID,), {}, f"DELETE {JOB}", None),
    ("cancel_jobs", ({},), {}, "POST /v1/jobs/cancel", {"filter": {}}),
    ("retry_jobs", (SOME,), {"dry_run": True}, "POST /v1/jobs/retry", {"filter": SOME_JSON, "dry_run": True}),
    ("edit_jobs", ({"status": ["pending"]}, {"delay": timedelta(minutes=1), "tags": None}), {}, "POST /v1/jobs/edit",
        {"filter": {"status": ["pending"]}, "updates": {"delay": 60.0, "tags": None}}),
    ("delete_jobs", ({"priority": 0},), {}, "POST /v1/jobs/delete", {"filter": {"priority": 0}}),
    ("create_token", (), {}, "POST /v1/tokens", {}),
    ("create_token", (), {"timeout": timedelta(hours=48), "tags": ["a"]}, "POST /v1/tokens",
        {"timeout": 172800.0, "tags": ["a"]}),
    ("get_token", (UUID(JOB_ID),), {}, f"GET {TOKEN}", None),
    ("complete_token", (JOB_ID,), {}, f"POST {TOKEN}/complete", None),
    ("complete_token", (JOB_ID, {"ok": True}), {}, f"POST {TOKEN}/complete", {"ok": True}),
    ("tag", ("a/b ü",), {}, "GET /v1/tags/a%2Fb%20%C3%BC", None),
    ("job_type", ("mail/send",), {}, "GET /v1/job-types/mail%2Fsend", None),
    ("put_job_type", ("mail/send",), {"paused": False, "concurrency": 3, "timeout_ms": None},
        "PUT /v1/job-types/mail%2Fsend", {"paused": False, "concurrency": 3}),
    ("pause", ("mail/send",), {}, "POST /v1/job-types/mail%2Fsend/pause", None),
    ("resume", ("..",), {}, "POST /v1/job-types/%2E%2E/resume", None),
    ("stats", (), {}, "GET /v1/stats", None),
    ("drain_worker", ("host/1",), {}, "POST /v1/workers/host%2F1/drain", None),
    ("run_maintenance", (), {}, "POST /v1/maintenance/run", None),
]  # fmt: skip
LISTS: Final[list[tuple[str, tuple[Any, ...], dict[str, Any], str]]] = [
    ("list_jobs", (), {}, "/v1/jobs?limit=100"),
    ("list_jobs", (), {"status": [JobStatus.FAILED, "cancelled"], "job_type": "a", "priority": -1, "group_id": "g",
        "tags": ["x", "y&z"], "tag_mode": "any", "cron_id": UUID(JOB_ID), "limit": 7},
        "/v1/jobs?status=failed&status=cancelled&job_type=a&priority=-1&group_id=g&tags=x&tags=y%26z&tag_mode=any"
        f"&cron_id={JOB_ID}&limit=7"),
    ("list_jobs", (), {"run_at": {"gte": AT, "lt": "z"}, "created_at": AT, "status": None, "page_size": 1000},
        "/v1/jobs?run_at%5Bgte%5D=2026-11-24T01%3A02%3A03.000000Z&run_at%5Blt%5D=z"
        "&created_at=2026-11-24T01%3A02%3A03.000000Z&limit=1000"),
    ("job_events", (JOB_ID,), {}, f"{JOB}/events?limit=100"),
    ("list_tokens", (), {}, "/v1/tokens?limit=100"),
    ("list_tokens", (), {"status": ["waiting", "timed_out"], "tags": "a", "tag_mode": "any", "job_id": UUID(JOB_ID)},
        f"/v1/tokens?status=waiting&status=timed_out&tags=a&tag_mode=any&job_id={JOB_ID}&limit=100"),
    ("tags", (), {}, "/v1/tags?limit=100"),
    ("tags", ("a/",), {}, "/v1/tags?prefix=a%2F&limit=100"),
    ("job_types", (), {}, "/v1/job-types?limit=100"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "arguments", "named", "line", "body"), SENT)
async def test_an_operation_is_this_request(
    speak: Speak, operation: str, arguments: tuple[Any, ...], named: dict[str, Any], *, line: str, body: Any
) -> None:
    speaker = speak(answer({"any": "thing"}))
    given = await speaker.ask(operation, *arguments, **named)
    request = speaker.service.request
    assert f"{request.method} {request.url.raw_path.decode()}" == line
    assert (decode(request.content) if request.content else None) == body
    assert request.headers.get("content-type") == (None if body is None else "application/json")
    assert given == (None if operation == "delete" else {"any": "thing"})


async def test_the_workers_are_a_list(speak: Speak) -> None:
    speaker = speak(answer({"data": [{"id": "w1"}]}))
    assert await speaker.ask("workers") == [{"id": "w1"}]
    assert speaker.service.request.url.raw_path == b"/v1/workers"


async def test_expiring_answers_a_number(speak: Speak) -> None:
    speaker = speak(answer({"expired": 3}))
    assert await speaker.ask("expire_tokens") == 3
    assert speaker.service.request.url.raw_path == b"/v1/tokens/expire"


async def test_an_answer_without_a_body_is_none(speak: Speak) -> None:
    speaker = speak(answer(status=204))
    assert await speaker.ask("delete", JOB_ID) is None


@pytest.mark.parametrize(("operation", "arguments", "named", "path"), LISTS)
async def test_a_list_asks_for_this(
    speak: Speak, operation: str, arguments: tuple[Any, ...], named: dict[str, Any], path: str
) -> None:
    speaker = speak(answer({"data": [1, 2]}))
    assert await speaker.ask(operation, *arguments, **named) == [1, 2]
    assert speaker.service.request.url.raw_path.decode() == path


async def test_a_list_goes_on_at_its_cursor_with_the_same_filter(speak: Speak) -> None:
    pages = [([1, 2], "c1"), ([], "c 2"), ([3], None)]
    speaker = speak(*(answer({"data": data, "next_cursor": cursor}) for data, cursor in pages))
    assert await speaker.ask("list_jobs", status="failed", page_size=2) == [1, 2, 3]
    assert [request.url.query.decode() for request in speaker.service.requests] == [
        "status=failed&limit=2",
        "status=failed&limit=2&cursor=c1",
        "status=failed&limit=2&cursor=c+2",
    ]


async def test_a_limit_ends_a_list_and_makes_its_last_page_smaller(speak: Speak) -> None:
    speaker = speak(*[answer({"data": [1, 2], "next_cursor": "more"})] * 2)
    assert await speaker.ask("list_jobs", limit=3, page_size=2) == [1, 2, 1]
    assert [dict(request.url.params) for request in speaker.service.requests] == [
        {"limit": "2"},
        {"limit": "1", "cursor": "more"},
    ]


@pytest.mark.parametrize("where", [{"status": None}, {"tags": []}, {"run_at": None}, {"created_at": {}}])
async def test_what_a_bulk_filter_leaves_open_is_for_the_service_to_refuse(speak: Speak, where: dict[str, Any]) -> None:
    """Left out, it would find more jobs than whoever wrote it believes."""
    speaker = speak(answer({}))
    await speaker.ask("delete_jobs", where)
    assert speaker.service.bodies == [{"filter": where}]


@pytest.mark.parametrize("where", [{"status": []}, {"tags": ()}, {"run_at": {}}])
async def test_a_filter_that_narrows_nothing_is_refused(speak: Speak, where: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="what is empty does not narrow"):
        await speak().ask("list_jobs", **where)


async def test_a_limit_of_nothing_is_refused(speak: Speak) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await speak().ask("list_jobs", limit=0)


async def test_an_enqueue_sends_what_is_given_under_an_id_of_its_own(speak: Speak) -> None:
    enqueued = {"id": JOB_ID, "status": "pending", "created": True}
    speaker = speak(*[answer(enqueued, 201)] * 2)
    options = {"tags": ["a"], "delay": timedelta(seconds=5), "priority": None, "group": {"id": "g"}}
    assert await speaker.ask("enqueue", "mail", {"to": 1}, **options) == enqueued
    await speaker.ask("enqueue", "mail")
    [full, least] = speaker.service.bodies
    ids = {full.pop("id"), least.pop("id")}
    assert len(ids) == 2
    assert all(is_uuid7(UUID(id)) for id in ids)
    assert full == {"job_type": "mail", "payload": {"to": 1}, "tags": ["a"], "delay": 5.0, "group": {"id": "g"}}
    assert least == {"job_type": "mail"}


@pytest.mark.parametrize("named", [{"id": UUID(JOB_ID)}, {"idempotency_key": "k"}, {"idempotency_key": "k", "id": "x"}])
async def test_an_enqueue_that_is_named_already_gets_no_other_id(speak: Speak, named: dict[str, Any]) -> None:
    speaker = speak(answer({"id": JOB_ID, "status": "pending", "created": True}, 201))
    await speaker.ask("enqueue", "mail", None, **named)
    assert speaker.service.bodies == [{"job_type": "mail", "payload": None} | {k: str(v) for k, v in named.items()}]


async def test_a_batch_is_one_request_whose_answers_come_in_order(speak: Speak) -> None:
    speaker = speak(answer({"jobs": [{"id": "1"}, {"id": "2"}]}, 201))
    jobs = [{"job_type": "a", "ref": "r"}, {"job_type": "b", "payload": None, "depends_on": {"refs": ["r"]}}]
    assert await speaker.ask("enqueue_batch", iter(jobs)) == [{"id": "1"}, {"id": "2"}]
    [body] = speaker.service.bodies
    sent = body.pop("jobs")
    assert body == {}
    assert all(is_uuid7(UUID(job.pop("id"))) for job in sent)
    assert sent == jobs


def test_both_clients_offer_every_operation_with_its_own_signature() -> None:
    operation_of = {
        name: operation
        for name, operation in inspect.getmembers(operations, inspect.isfunction)
        if operation.__module__ == operations.__name__ and not name.startswith("_")
    }
    assert len(operation_of) == 29
    for kind in (Client, AsyncClient):
        methods = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
        assert methods - {"close", "aclose", "import_jobs", "events"} == operation_of.keys()
        for name, operation in operation_of.items():
            method = getattr(kind, name)
            assert list(inspect.signature(method).parameters)[1:] == list(inspect.signature(operation).parameters)
            assert method.__doc__ == operation.__doc__
