"""Equal requests at the same moment, at two API processes: one job."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.acceptance.looking import jobs_in
from tests.acceptance.services import Api

AT_ONCE: Final = 50
ROUNDS: Final = 5


@pytest.fixture(scope="module")
def apis(api: Api, database: str, place: Path) -> Iterator[list[Api]]:
    with Api(database, log=place / "second.log") as second:
        second.until_ready()
        yield [api, second]


@pytest.mark.parametrize("way", ["field", "header"])
def test_fifty_equal_requests_at_once_make_one_job(apis: list[Api], database: str, way: str) -> None:
    """In several rounds, for what happens once in a while."""
    for n in range(ROUNDS):
        key = f"{way}-{n}"
        job: dict[str, Any] = {"job_type": f"charge-{n}", "payload": {"amount": 7}}
        headers = {"idempotency-key": key} if way == "header" else {}
        answers = asyncio.run(at_once(apis, job | ({} if headers else {"idempotency_key": key}), headers))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: AT_ONCE - 1}
        [job_id] = {answer.json()["id"] for answer in answers}
        assert [answer.status_code == 201 for answer in answers] == [answer.json()["created"] for answer in answers]
        [job_of_key] = [job for job in jobs_in(database) if job.idempotency_key == key]
        assert str(job_of_key.id) == job_id
        assert apis[0].events(job_id) == ["added"]


async def at_once(apis: list[Api], job: dict[str, Any], headers: dict[str, str]) -> list[httpx.Response]:
    """The answers to equal requests, dealt out to the APIs in turn, each on a connection of its own."""
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=AT_ONCE), timeout=30) as client:
        urls = [f"{apis[n % len(apis)].url}/v1/jobs" for n in range(AT_ONCE)]
        return list(await asyncio.gather(*(client.post(url, json=job, headers=headers) for url in urls)))
