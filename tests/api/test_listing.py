"""GET /v1/jobs: every filter by its name on the wire, cursors, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from struct import pack
from typing import Any

import httpx
import pytest

from app.cursors import write_cursor
from dataqueue.clock import ManualClock
from dataqueue.domain.filters import JobFilter
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage
from tests.api.support import enqueued, places, problem, shared
from tests.storage.given import FOR_GOOD, NAMESPACE, claim

HOUR = timedelta(hours=1)


async def listed(client: httpx.AsyncClient, query: Any) -> list[str]:
    """The ids of every page of a list."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        pairs = [*(query.items() if isinstance(query, dict) else query), *cursor.items()]
        response = await client.get("/v1/jobs", params=httpx.QueryParams(pairs))
        assert response.status_code == 200, response.text
        page = response.json()
        found += [job["id"] for job in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_statuses_and_types_are_alternatives_and_narrow_each_other(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    failed = await enqueued(client, job_type="a")
    jobs = storage.jobs(NAMESPACE)
    [held] = await claim(jobs, "a")
    await jobs.fail([held.lease], failures=[FOR_GOOD])
    pending = await enqueued(client, job_type="a")
    other = await enqueued(client, job_type="b")
    assert await listed(client, {"status": "failed"}) == [failed]
    assert await listed(client, [("status", "failed"), ("status", "pending")]) == [other, pending, failed]
    assert await listed(client, [("status", "pending"), ("job_type", "a"), ("job_type", "c")]) == [pending]


async def test_tags_are_a_set_whose_mode_is_all_unless_it_is_said(client: httpx.AsyncClient) -> None:
    none = await enqueued(client)
    a = await enqueued(client, tags=["a"])
    both = await enqueued(client, tags=["b", "a"])
    asked = [("tags", "a"), ("tags", "b")]
    assert await listed(client, asked) == [both]
    assert await listed(client, [*asked, ("tag_mode", "all")]) == [both]
    assert await listed(client, [*asked, ("tag_mode", "exact")]) == [both]
    assert await listed(client, [*asked, ("tag_mode", "any")]) == [both, a]
    assert await listed(client, [*asked, ("tag_mode", "none")]) == [none]
    assert await listed(client, [("tags", "b"), ("tag_mode", "exact")]) == []


async def test_priority_is_exact(client: httpx.AsyncClient) -> None:
    zero, low = await enqueued(client), await enqueued(client, priority=-7)
    assert await listed(client, {"priority": "0"}) == [zero]
    assert await listed(client, {"priority": "-7"}) == [low]
    assert await listed(client, {"priority": "7"}) == []


async def test_instants_are_bounded_one_way_or_both_and_bare_they_are_exact(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    ids: list[str] = []
    for _ in range(3):
        clock.advance(HOUR)
        ids.insert(0, await enqueued(client))
    at = (clock.now() - HOUR).isoformat()
    for column in ("created_at", "run_at"):
        assert await listed(client, {f"{column}[gt]": at}) == ids[:1]
        assert await listed(client, {f"{column}[gte]": at}) == ids[:2]
        assert await listed(client, {f"{column}[lt]": at}) == ids[2:]
        assert await listed(client, {f"{column}[lte]": at}) == ids[1:]
        assert await listed(client, {f"{column}[eq]": at}) == ids[1:2]
        assert await listed(client, {column: at}) == ids[1:2]
        assert await listed(client, {f"{column}[gte]": at, f"{column}[lte]": at}) == ids[1:2]


async def test_groups_and_crons_that_nobody_has_find_nothing(client: httpx.AsyncClient) -> None:
    await enqueued(client)
    assert await listed(client, {"group_id": "g"}) == []
    assert await listed(client, {"cron_id": str(new_id())}) == []


@pytest.mark.parametrize("query", [{}, {"tags": "a"}, {"job_type": "report"}, {"status": "pending"}, {"priority": "0"}])
async def test_every_list_is_read_whole_by_its_cursors(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    ids = [await enqueued(client, tags=["a"]) for _ in range(5)][::-1]
    assert await listed(client, {**query, "limit": "2"}) == ids


@pytest.mark.parametrize("place", [b"", b"x", b"\0", b"\xff" * 8, b"\xff" * 17, pack(">qq", 2**63 - 1, 1)], ids=repr)
async def test_a_cursor_made_up_for_a_place_that_no_list_has_is_refused(
    client: httpx.AsyncClient, place: bytes
) -> None:
    job_id = await enqueued(client, tags=["a"])
    names = {"/v1/tags": ("tags", NAMESPACE, ""), "/v1/job-types": ("job-types", NAMESPACE)}
    others = {
        "/v1/jobs": ("jobs", NAMESPACE, repr(JobFilter())),
        f"/v1/jobs/{job_id}/events": ("events", NAMESPACE, job_id),
    }
    for path, of in {**names, **others}.items():
        response = await client.get(path, params={"cursor": write_cursor(place, of=of)})
        if path in names and place in {b"", b"x"}:
            assert response.status_code == 200
        else:
            problem(response, 422, "invalid_cursor")


async def test_a_cursor_belongs_to_its_filters_however_they_are_written(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await enqueued(client, tags=["a", "b"])
    first = await client.get("/v1/jobs?tags=a&tags=b&limit=1")
    cursor = first.json()["next_cursor"]
    again = await client.get(f"/v1/jobs?tags=b&tags=a&tags=a&tag_mode=all&limit=2&cursor={cursor}")
    assert len(again.json()["data"]) == 2
    problem(await client.get(f"/v1/jobs?tags=a&tags=b&tag_mode=any&cursor={cursor}"), 422, "invalid_cursor")
    problem(await client.get(f"/v1/jobs?tags=a&cursor={cursor}"), 422, "invalid_cursor")
    problem(await client.get(f"/v1/jobs?cursor={cursor}"), 422, "invalid_cursor")


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("tag_mode=any", "tag_mode"),
        ("tags=a&tag_mode=some", "tag_mode"),
        ("tags=", "tags"),
        ("tags=a%00b", "tags"),
        ("priority=1.0", "priority"),
        ("priority=40000", "priority"),
        ("priority=%2B1", "priority"),
        ("priority=1&priority=2", "priority"),
        ("group_id=", "group_id"),
        ("cron_id=nightly", "cron_id"),
        ("run_at=tomorrow", "run_at"),
        ("run_at[gt]=2026-11-24T01:02:03", "run_at[gt]"),
        ("run_at[ge]=2026-11-24T01:02:03Z", "run_at[ge]"),
        ("run_at_gt=2026-11-24T01:02:03Z", "run_at_gt"),
        ("created_at=2026-11-24T01:02:03Z&created_at[eq]=2026-11-24T01:02:03Z", "created_at"),
        ("created_at[lt]=0001-01-01T00:00:00Z", "created_at[lt]"),
        ("status=done", "status"),
        ("job_type=a%20b", "job_type"),
    ],
)
@shared
async def test_what_is_no_filter_is_refused_where_it_stands(
    bystander: httpx.AsyncClient, query: str, place: str
) -> None:
    found = problem(await bystander.get(f"/v1/jobs?{query}"), 422, found_code(query))
    assert places(found)[0][:2] == ["query", place]


def found_code(query: str) -> str:
    return "invalid_json" if "%00" in query else "validation_failed"
