"""Tokens inside a program."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dataqueue.callback_urls import CallbackUrls
from dataqueue.clock import ManualClock
from dataqueue.context import JobContext
from dataqueue.domain.filters import TagMode
from dataqueue.domain.job import JobStatus
from dataqueue.domain.steps import Wait
from dataqueue.domain.tokens import TokenFilter, TokenStatus
from dataqueue.errors import Invalid, NotFound, TokenAlreadyCompleted, TokenExpired
from dataqueue.ids import new_id
from dataqueue.job_fields import Duration
from dataqueue.queue import Queue
from dataqueue.queue_events import JobProgress, JobWaiting
from dataqueue.settings import WorkerSettings
from dataqueue.storage.opening import open_storage
from dataqueue.sync import SyncQueue
from tests.storage.given import claim, eventually


async def test_a_token_is_made_with_a_url_that_completes_it(queue: Queue) -> None:
    made = await queue.create_token(timeout="48h", tags=["a", "b", "a"])
    token = await queue.get_token(str(made.id))
    assert token == made.token
    assert (token.status, token.tags, token.job_id, token.output) == (TokenStatus.WAITING, ("a", "b"), None, None)
    assert token.timeout_at == token.created_at + timedelta(hours=48)
    url = urlsplit(made.callback_url)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"http://127.0.0.1:8000/v1/tokens/{made.id}/callback"
    [signature] = parse_qs(url.query)["signature"]
    CallbackUrls("", await queue._storage.keys.signing_secret()).check("default", made.id, signature)


async def test_its_base_is_the_one_that_the_settings_name(storage_url: str) -> None:
    settings = WorkerSettings(public_url="https://queue.example.com")
    async with Queue(storage_url, settings=settings) as queue:
        assert (await queue.create_token()).callback_url.startswith("https://queue.example.com/v1/tokens/")


async def test_the_first_completion_counts(queue: Queue) -> None:
    token_id = (await queue.create_token()).id
    first = await queue.complete_token(token_id, {"a": 1, "b": [None]})
    assert (first.status, first.output) == (TokenStatus.COMPLETED, '{"a":1,"b":[null]}')
    assert await queue.complete_token(str(token_id), {"b": [None], "a": 1}) == first
    for other in ({"a": 1.0, "b": [None]}, {"a": True, "b": [None]}, None):
        with pytest.raises(TokenAlreadyCompleted):
            await queue.complete_token(token_id, other)
    assert await queue.get_token(token_id) == first


async def test_whoever_waits_goes_on_and_workers_hear_of_it(queue: Queue) -> None:
    token_id = (await queue.create_token()).id
    job_id = (await queue.add_job("mail")).id
    [held] = await claim(queue._jobs, "mail")
    await queue._jobs.suspend([held.lease], waits=[[Wait(name="approval", token_id=token_id)]])
    assert (await queue.get_job(job_id)).status == "waiting"
    async with queue._storage.notifier.listen() as hints:
        assert (await anext(hints)).kind == "listening"
        await queue.complete_token(token_id)
        async with asyncio.timeout(5):
            while (hint := await anext(hints)).kind != "ready":
                pass
    assert hint.names == ("mail",)
    assert (await queue.get_job(job_id)).status == "pending"


async def test_a_handler_waits_for_a_token_and_goes_on_with_its_output(queue: Queue) -> None:
    told: list[JobWaiting | JobProgress] = []

    async def hear(event: JobWaiting | JobProgress) -> None:
        told.append(event)

    async def ask(payload: dict[str, Any], ctx: JobContext) -> Any:
        token = await ctx.create_token(timeout="48h", tags=["approval"])
        await ctx.set_progress(40)
        return (await ctx.wait_for_token(token.id)).output

    for name in ("job:waiting", "job:progress"):
        queue.on(name, hear)
    job_id = (await queue.add_job("ask")).id
    processor = queue.create_processor({"ask": ask})
    assert await processor.start() == 1
    [token] = (await queue.get_tokens(TokenFilter(job_id=job_id))).tokens
    job = await queue.get_job(job_id)
    assert (job.status, job.wait_token_id, job.progress, job.attempts) == (JobStatus.WAITING, token.id, 40, 1)
    await eventually("both are told", lambda: _when(len(told) == 2))
    assert told == [
        JobProgress(job_id=job_id, job_type="ask", progress=40),
        JobWaiting(job_id=job_id, job_type="ask", wait_until=None, token_id=token.id),
    ]
    await queue.complete_token(token.id, {"approved": True})
    assert await processor.start() == 1
    job = await queue.get_job(job_id)
    assert (job.status, job.output, job.attempts) == (JobStatus.COMPLETED, '{"approved":true}', 1)


async def _when(condition: bool) -> bool | None:
    return True if condition else None


async def test_tokens_expire(storage_url: str, clock: ManualClock) -> None:
    storage = open_storage(storage_url, clock=clock)
    async with Queue(storage=storage) as queue:
        late, swept = [(await queue.create_token(timeout=60)).id for _ in range(2)]
        assert await queue.expire_timed_out_tokens() == 0
        clock.advance(timedelta(minutes=2))
        with pytest.raises(TokenExpired):
            await queue.complete_token(late)
        assert await queue.expire_timed_out_tokens() == 1
        assert (await queue.get_token(swept)).status is TokenStatus.TIMED_OUT
    await storage.close()


async def test_tokens_are_listed(queue: Queue) -> None:
    made = [(await queue.create_token(tags=tags)).id for tags in (["a"], ["a", "b"], [])]
    await queue.complete_token(made[2])
    page = await queue.get_tokens(limit=2)
    assert page.next is not None
    rest = await queue.get_tokens(before=page.next)
    assert {token.id for token in (*page.tokens, *rest.tokens)} == set(made)
    exact = TokenFilter(tags=("a",), tag_mode=TagMode.EXACT)
    assert [token.id for token in (await queue.get_tokens(exact)).tokens] == [made[0]]
    ended = TokenFilter(statuses=(TokenStatus.COMPLETED,))
    assert [token.id for token in (await queue.get_tokens(ended)).tokens] == [made[2]]


@pytest.mark.parametrize(
    ("timeout", "tags", "field"),
    [(0, (), "timeout"), ("soon", (), "timeout"), (True, (), "timeout"), (None, [""], "tags"), (None, "a", "tags")],
)
async def test_what_cannot_be_asked_is_refused(queue: Queue, timeout: Duration | None, tags: Any, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        await queue.create_token(timeout=timeout, tags=tags)
    assert raised.value.loc[0] == field


async def test_what_cannot_be_kept_is_refused(queue: Queue) -> None:
    token_id = (await queue.create_token()).id
    for output, code in ((float("nan"), "invalid_json"), ("\0", "invalid_json"), ("x" * 300_000, "payload_too_large")):
        with pytest.raises(Invalid) as raised:
            await queue.complete_token(token_id, output)
        assert (raised.value.loc, raised.value.code) == (("output",), code)
    with pytest.raises(NotFound):
        await queue.complete_token(new_id())
    with pytest.raises(Invalid) as raised:
        await queue.get_token("nonsense")
    assert raised.value.loc == ("token_id",)
    assert (await queue.get_token(token_id)).status is TokenStatus.WAITING


def test_all_of_it_is_there_without_an_event_loop(storage_url: str) -> None:
    with SyncQueue(storage_url) as queue:
        made = queue.create_token(timeout=60, tags=["a"])
        assert queue.get_token(made.id).status is TokenStatus.WAITING
        assert queue.complete_token(made.id, [1]).output == "[1]"
        assert [token.id for token in queue.get_tokens(TokenFilter(tags=("a",))).tokens] == [made.id]
        assert queue.expire_timed_out_tokens() == 0
