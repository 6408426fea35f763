"""Tags with their counts (contract 1.3, details B13 and D1)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.schemas.tags import TagOut, TagPage
from dataqueue.domain.job import JobStatus
from dataqueue.domain.keys import Scope
from dataqueue.storage.port import Storage
from tests.api.support import client_of, enqueued, given_key, places, problem, shared, started
from tests.storage.given import given_job

NONE: dict[str, int] = {status.value: 0 for status in JobStatus}


async def walk(client: httpx.AsyncClient, **query: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        response = await client.get("/v1/tags", params={**query, **({"cursor": cursor} if cursor else {})})
        assert response.status_code == 200, response.text
        pages.append([one["tag"] for one in response.json()["data"]])
        if (cursor := response.json()["next_cursor"]) is None:
            return pages


async def test_a_tag_has_the_documented_shape(client: httpx.AsyncClient, storage: Storage) -> None:
    await given_job(storage, tags=("x",), status=JobStatus.FAILED)
    await enqueued(client, tags=["x", "y"])
    expected = {"tag": "x", "counts": {**NONE, "pending": 1, "failed": 1}, "total": 2}
    assert (await client.get("/v1/tags/x")).json() == expected
    page = (await client.get("/v1/tags")).json()
    assert page == {
        "data": [expected, {"tag": "y", "counts": {**NONE, "pending": 1}, "total": 1}], "next_cursor": None
    }  # fmt: skip
    assert list(page["data"][0]["counts"]) == list(JobStatus)
    TagOut.model_validate_json(json.dumps(expected))
    TagPage.model_validate_json(json.dumps(page))


@pytest.mark.parametrize(
    "tag", ["a/b", "/", "a/b/pause", "%", "a%2Fb", "?#&=+", "ü ", "😀", "..", ".", "a b", "ü" * 200]
)
async def test_a_tag_may_hold_any_character(client: httpx.AsyncClient, tag: str) -> None:
    await enqueued(client, tags=[tag])
    response = await client.get(f"/v1/tags/{quote(tag, safe='').replace('.', '%2E')}")
    assert (response.status_code, response.json().get("tag")) == (200, tag), response.text


@shared
@pytest.mark.parametrize("path", ["/v1/tags/x", "/v1/tags/a%2Fb"])
async def test_a_tag_that_no_job_has_is_not_found(bystander: httpx.AsyncClient, path: str) -> None:
    problem(await bystander.get(path), 404, "not_found")


@shared
@pytest.mark.parametrize("path", ["/v1/tags/", "/v1/tags/a/b", "/v1/tags/a/", "/v1//tags", "/v1/job-types/a/b/pause"])
async def test_a_slash_that_is_not_encoded_is_another_path(bystander: httpx.AsyncClient, path: str) -> None:
    problem(await bystander.get(path), 404, "not_found")


@shared
@pytest.mark.parametrize("tag", ["%00", "a%00", "%ff", "%ED%A0%80", "a" * 201])
async def test_what_can_be_no_tag_is_invalid(bystander: httpx.AsyncClient, tag: str) -> None:
    response = await bystander.get(f"/v1/tags/{tag}")
    assert response.status_code == 422
    assert places(response.json()) == [["path", "tag"]]
    assert "aaa" not in response.text.replace(response.json()["request_id"], "")


async def test_pages_join_in_the_order_of_code_points(client: httpx.AsyncClient) -> None:
    tags = ["b", "a/b", "B", "ä", "a", "𝄞", "\uffff", "😀" * 200, "a-b"]
    for tag in tags:
        await enqueued(client, tags=[tag])
    pages = await walk(client, limit=2)
    assert [tag for page in pages for tag in page] == sorted(tags)
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert await walk(client, prefix="a") == [["a", "a-b", "a/b"]]
    assert await walk(client, prefix="a", limit=1) == [["a"], ["a-b"], ["a/b"]]
    assert await walk(client, prefix="😀", limit=1) == [["😀" * 200]]
    assert await walk(client, prefix="nothing") == [[]]


async def test_a_cursor_is_good_for_its_own_prefix(client: httpx.AsyncClient) -> None:
    await enqueued(client, tags=["a", "ab"])
    cursor = (await client.get("/v1/tags?limit=1&prefix=a")).json()["next_cursor"]
    assert (await client.get("/v1/tags", params={"prefix": "a", "cursor": cursor})).status_code == 200
    for other in ({}, {"prefix": "ab"}):
        found = problem(await client.get("/v1/tags", params={**other, "cursor": cursor}), 422, "invalid_cursor")
        assert places(found) == [["query", "cursor"]]


@shared
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "prefix=", "prefix=a&prefix=b", "prefix=%00", "tag=a", f"prefix={'a' * 201}"]
)
async def test_a_query_that_means_nothing_is_invalid(bystander: httpx.AsyncClient, query: str) -> None:
    assert (await bystander.get(f"/v1/tags?{query}")).status_code == 422


async def test_a_key_sees_the_tags_of_its_own_namespace(storage: Storage) -> None:
    await given_job(storage, tags=("x",))
    key = await given_key(storage, Scope.ADMIN, namespace="other")
    async with started(storage) as app, client_of(app, key=key) as client:
        assert (await client.get("/v1/tags")).json()["data"] == []
        problem(await client.get("/v1/tags/x"), 404, "not_found")
