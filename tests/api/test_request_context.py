"""What is logged while a request is answered carries its id, and what is done for several carries none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.main import Api
from dataqueue.log_context import add_context
from dataqueue.storage.port import Storage
from tests.api.support import eventually


def context() -> dict[str, Any]:
    """What a line would be about that is logged here and now."""
    return dict(add_context(None, "info", {}))


async def test_a_line_of_a_request_has_its_id(
    client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    async def stats(_: object) -> None:
        seen.append(context())
        raise RuntimeError

    monkeypatch.setattr(type(storage.tally("default")), "stats", stats)
    await client.get("/v1/stats", headers={"x-request-id": "ours"})
    assert seen == [{"request_id": "ours"}]
    assert context() == {}


async def test_a_shared_write_and_a_hint_are_no_single_requests(
    api: Api, client: httpx.AsyncClient, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    jobs, publish = storage.jobs("default"), storage.notifier.publish
    enqueue = jobs.enqueue

    async def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(context())
        return await enqueue(*args, **kwargs)

    async def published(*args: Any) -> None:
        seen.append(context())
        await publish(*args)

    monkeypatch.setattr(jobs, "enqueue", watched)
    monkeypatch.setattr(storage.notifier, "publish", published)
    await client.post("/v1/jobs", json={"job_type": "mail"}, headers={"x-request-id": "ours"})
    await eventually("a write and a hint", lambda: len(seen) >= 2)
    assert seen == [{}, {}]
