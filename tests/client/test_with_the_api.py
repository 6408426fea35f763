"""The client and the service agree about the contract: every operation, against the application itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import httpx
import pytest

from app.main import Api
from dataqueue import errors
from dataqueue.client import AsyncClient, ProblemError, answers
from dataqueue.domain.job import Json, Lease
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.support import given_key, started
from tests.client.stub import AT_ONCE, JOB_ID

LEASE: Final = timedelta(minutes=1)


@pytest.fixture
async def api(live_storage: Storage) -> AsyncIterator[Api]:
    async with started(live_storage) as app:
        yield app


def client_of(app: Api, key: str | None = None) -> AsyncClient:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1234))
    return AsyncClient("http://queue.test", key, transport=transport, patience=AT_ONCE)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[AsyncClient]:
    async with client_of(api) as client:
        yield client


async def claimed(storage: Storage, job_type: str) -> Lease:
    """One job of a type, in the hands of a worker."""
    [job] = await storage.jobs("default").claim(job_types=[job_type], worker_id="w1", limit=1, lease=LEASE)
    return job.lease


async def ids(found: AsyncIterator[Any]) -> list[str]:
    return [one["id"] async for one in found]


async def test_a_job_is_read_as_it_was_enqueued(client: AsyncClient) -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    enqueued = await client.enqueue(
        "mail/send",
        {"n": 2**60, "list": []},
        priority=-3,
        run_at=at,
        max_attempts=7,
        timeout_ms=1500,
        force_kill_on_timeout=True,
        tags=["a", "ü/b"],
        idempotency_key="k",
        retry_delay=timedelta(seconds=2),
        retry_backoff=False,
        retry_delay_max="1m",
        dead_letter_job_type="dead",
    )
    assert enqueued == {"id": enqueued["id"], "status": "pending", "created": True}
    job = await client.get_job(enqueued["id"])
    assert job.keys() == answers.Job.__required_keys__
    shown = {
        "job_type": "mail/send", "payload": {"n": 2**60, "list": []}, "priority": -3, "max_attempts": 7,
        "run_at": "2030-01-02T03:04:05.000006Z", "timeout_ms": 1500, "tags": ["a", "ü/b"], "idempotency_key": "k",
        "retry_delay": 2, "retry_backoff": False, "retry_delay_max": 60, "dead_letter_job_type": "dead",
        "force_kill_on_timeout": True,
    }  # fmt: skip
    assert {name: value for name, value in job.items() if name in shown} == shown
    assert await client.enqueue("mail/send", idempotency_key="k") == {**enqueued, "created": False}


async def test_an_enqueue_that_was_stored_unheard_is_not_stored_again(client: AsyncClient, api: Api) -> None:
    lost = 2

    async def losing(request: httpx.Request) -> httpx.Response:
        nonlocal lost
        response = await httpx.ASGITransport(api, client=("127.0.0.1", 1)).handle_async_request(request)
        await response.aread()
        if lost:
            lost -= 1
            raise httpx.ReadError("the connection broke")
        return response

    async with AsyncClient("http://queue.test", transport=httpx.MockTransport(losing), patience=AT_ONCE) as unlucky:
        one = await unlucky.enqueue("a")
        lost = 1
        batch = await unlucky.enqueue_batch([{"job_type": "b"}, {"job_type": "b"}])
        lost = 1
        keyed = await unlucky.enqueue("c", idempotency_key="k")
    assert sorted(await ids(client.list_jobs())) == sorted([one["id"], *(job["id"] for job in batch), keyed["id"]])
    assert (one["created"], keyed["created"]) == (True, False)


async def test_a_batch_is_all_or_nothing(client: AsyncClient) -> None:
    enqueued = await client.enqueue_batch([{"job_type": "a", "payload": n} for n in range(3)])
    assert [(await client.get_job(job["id"]))["payload"] for job in enqueued] == [0, 1, 2]
    with pytest.raises(errors.Invalid) as raised:
        await client.enqueue_batch([{"job_type": "a"}, {"job_type": "not a name"}])
    assert raised.value.loc == ("body", "jobs", 1, "job_type")
    assert len(await ids(client.list_jobs())) == 3


async def test_lists_are_walked_to_their_end_or_limit(client: AsyncClient) -> None:
    made = [job["id"] for job in await client.enqueue_batch([{"job_type": "a"}] * 7)]
    assert await ids(client.list_jobs(page_size=3)) == made[::-1]
    assert await ids(client.list_jobs(page_size=3, limit=4)) == made[:-5:-1]
    assert await ids(client.list_jobs(job_type="b")) == []


async def test_a_filter_means_the_same_in_a_list_and_in_a_bulk_change(client: AsyncClient) -> None:
    since = datetime.now(UTC) - timedelta(minutes=5)
    fit = await client.enqueue("a", tags=["x", "y"], priority=2, run_at=datetime(2030, 1, 1, tzinfo=UTC))
    await client.enqueue("a", tags=["x"], priority=2)
    await client.enqueue("b", tags=["x", "y"], priority=2)
    await client.enqueue("a", tags=["x", "y"], priority=1)
    where: Any = {
        "status": ["pending", "failed"], "job_type": "a", "priority": 2, "tags": ["x", "y"], "tag_mode": "exact",
        "run_at": {"gte": "2030-01-01T00:00:00Z", "lt": datetime(2031, 1, 1, tzinfo=UTC)}, "created_at": {"gt": since},
    }  # fmt: skip
    assert await ids(client.list_jobs(**where)) == [fit["id"]]
    assert await client.cancel_jobs(where, dry_run=True) == {"matched": 1, "changed": 0}
    assert await client.edit_jobs(where, {"tags": ["x", "y"], "priority": 2}) == {"matched": 1, "changed": 1}
    assert await client.cancel_jobs(where) == {"matched": 1, "changed": 1}
    assert await ids(client.list_jobs(status="cancelled")) == [fit["id"]]
    assert await client.retry_jobs({"status": "cancelled"}) == {"matched": 1, "changed": 1}
    assert await client.cancel_jobs({}) == {"matched": 4, "changed": 4}
    assert await client.delete_jobs({"job_type": ["a", "b"]}) == {"matched": 4, "changed": 4}
    assert await ids(client.list_jobs()) == []


async def test_a_filter_that_says_nothing_changes_nothing(client: AsyncClient) -> None:
    await client.enqueue("a")
    nothing: list[Any] = [{"status": None}, {"tags": []}, {"created_at": {}}]
    for where in nothing:
        with pytest.raises(errors.Invalid):
            await client.cancel_jobs(where)
    assert len(await ids(client.list_jobs(status="pending"))) == 1


async def test_the_course_of_a_job(client: AsyncClient, live_storage: Storage) -> None:
    job_id = (await client.enqueue("a", priority=1))["id"]
    assert (await client.edit_job(job_id, priority=None, tags=["new"], payload=None))["tags"] == ["new"]
    job = await client.get_job(job_id)
    assert (job["priority"], job["payload"]) == (0, None)
    assert (await client.cancel(job_id))["status"] == "cancelled"
    assert (await client.retry(UUID(job_id)))["status"] == "pending"
    lease = await claimed(live_storage, "a")
    with pytest.raises(errors.IllegalTransition) as raised:
        await client.delete(job_id)
    assert (raised.value.verb, raised.value.job_id, raised.value.status) == ("delete", UUID(job_id), "processing")
    await live_storage.jobs("default").complete([lease], outputs=[Json("7")])
    assert (await client.get_job(job_id, wait=30))["output"] == 7
    events = [event["event"] async for event in client.job_events(job_id, page_size=2)]
    assert [name.removeprefix("job:") for name in events] == [
        "added", "edited", "cancelled", "retried", "processing", "completed",
    ]  # fmt: skip
    assert await client.delete(job_id) is None  # type: ignore[func-returns-value] # that is what is said
    with pytest.raises(errors.NotFound):
        await client.get_job(job_id)


async def test_tags_types_and_counts(client: AsyncClient) -> None:
    await client.enqueue_batch([{"job_type": "mail/send", "tags": ["a/b", "c d"]}, {"job_type": "x", "tags": ["a/b"]}])
    assert [(tag["tag"], tag["total"]) async for tag in client.tags(page_size=1)] == [("a/b", 2), ("c d", 1)]
    assert [tag["tag"] async for tag in client.tags("c")] == ["c d"]
    assert (await client.tag("a/b"))["counts"]["pending"] == 2
    assert [kind["job_type"] async for kind in client.job_types(page_size=1)] == ["mail/send", "x"]
    settings = await client.put_job_type("mail/send", max_attempts=5, retry_delay="2m")
    assert (settings["max_attempts"], settings["retry_delay"], settings["paused"]) == (5, 120, False)
    assert (await client.pause("mail/send"))["paused"] is True
    assert (await client.job_type("mail/send"))["paused"] is True
    assert (await client.resume("mail/send"))["paused"] is False
    stats = await client.stats()
    assert stats.keys() == answers.Stats.__required_keys__
    assert (stats["by_status"]["pending"], stats["by_type"]["x"]["pending"]) == (2, 1)
    with pytest.raises(errors.NotFound):
        await client.tag("nobody has it")


async def test_operations(client: AsyncClient) -> None:
    assert await client.workers() == []
    with pytest.raises(errors.NotFound):
        await client.drain_worker("nobody/1")
    assert await client.run_maintenance() == dict.fromkeys(answers.MaintenanceRun.__required_keys__, 0)


async def test_an_import_answers_every_line(client: AsyncClient) -> None:
    lines: list[Any] = [
        {"job_type": "a", "idempotency_key": "k"},
        "",
        "nonsense",
        '{"job_type":"a"}',
        b'{"job_type":"b c"}',
    ]
    first = [one async for one in client.import_jobs(lines)]
    second = [one async for one in client.import_jobs(lines)]
    assert [(one["line"], one.get("created"), one.get("error", {}).get("code")) for one in first[:-1]] == [
        (1, True, None),
        (3, None, "invalid_json"),
        (4, True, None),
        (5, None, "validation_failed"),
    ]
    assert first[-1]["summary"] == {"lines": 4, "created": 2, "existing": 0, "rejected": 2}
    assert second[-1]["summary"] == {"lines": 4, "created": 1, "existing": 1, "rejected": 2}
    assert second[0]["id"] == first[0]["id"]


async def test_an_import_of_many_lines_keeps_their_numbers_and_order(client: AsyncClient) -> None:
    async def arriving() -> AsyncIterator[dict[str, Any]]:
        for number in range(2500):
            yield {"job_type": "a", "payload": number}

    answered = [one async for one in client.import_jobs(arriving())]  # type: ignore[arg-type] # jobs all the same
    assert [one["line"] for one in answered[:-1]] == list(range(1, 2501))
    assert answered[-1]["summary"] == {"lines": 2500, "created": 2500, "existing": 0, "rejected": 0}
    assert [job["payload"] async for job in client.list_jobs(limit=3)] == [2499, 2498, 2497]


async def test_a_token_is_made_found_and_completed(client: AsyncClient) -> None:
    first = await client.create_token(timeout=timedelta(hours=1), tags=["a"])
    second = await client.create_token()
    assert first.keys() == answers.CreatedToken.__required_keys__
    seen = await client.get_token(first["id"])
    assert seen.keys() == answers.Token.__required_keys__
    assert {**seen, "callback_url": first["callback_url"]} == first
    assert set(await ids(client.list_tokens(page_size=1))) == {first["id"], second["id"]}
    assert await ids(client.list_tokens(tags="a", status=["waiting", "completed"])) == [first["id"]]
    output = {"n": 2**70, "x": 1.0}
    done = await client.complete_token(UUID(first["id"]), output)
    assert (done["status"], done["output"]) == ("completed", output)
    assert await client.complete_token(first["id"], {"x": 1.0, "n": 2**70}) == done
    with pytest.raises(errors.TokenAlreadyCompleted):
        await client.complete_token(first["id"], {"n": 2**70, "x": 1})
    assert (await client.complete_token(second["id"]))["output"] is None
    assert await ids(client.list_tokens(status="waiting")) == []
    assert await client.expire_tokens() == 0
    with pytest.raises(errors.NotFound):
        await client.get_token(JOB_ID)


async def test_who_may_not_is_told_so(api: Api, live_storage: Storage) -> None:
    key = await given_key(live_storage, Scope.ENQUEUE)
    async with client_of(api, key) as client:
        enqueued = await client.enqueue("a")
        with pytest.raises(errors.InsufficientScope) as raised:
            await client.get_job(enqueued["id"])
        assert raised.value.scopes == ("read",)
        with pytest.raises(errors.InsufficientScope) as raised:
            await client.cancel(enqueued["id"])
        assert raised.value.scopes == ("manage",)
    async with client_of(api, "dq_nobodys") as stranger:
        with pytest.raises(errors.Unauthenticated):
            await stranger.stats()


async def test_refusals_are_the_errors_of_the_package(client: AsyncClient) -> None:
    with pytest.raises(errors.NotFound) as missing:
        await client.get_job(JOB_ID)
    assert isinstance(missing.value, ProblemError)
    assert missing.value.problem.request_id
    job_id = (await client.enqueue("a"))["id"]
    with pytest.raises(errors.AlreadyExists):
        await client.enqueue("a", id=job_id)
    with pytest.raises(errors.IllegalTransition) as illegal:
        await client.retry(job_id)
    assert (illegal.value.verb, illegal.value.status) == ("retry", "pending")
    with pytest.raises(errors.Invalid) as invalid:
        await client.enqueue("a", retry_delay="soon")
    assert invalid.value.loc == ("body", "retry_delay")
    with pytest.raises(ProblemError) as large:
        await client.enqueue("a", "x" * 300_000)
    assert (large.value.problem.status, large.value.code) == (413, "payload_too_large")
