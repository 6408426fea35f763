"""The loop that makes due jobs claimable from the API process (details J1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from structlog.testing import capture_logs

from dataqueue.errors import StorageNotReady, StorageUnavailable
from dataqueue.staging import Stager
from dataqueue.storage.answers import Staged
from dataqueue.storage.port import Upkeep
from tests.api.support import eventually


class Rounds:
    """As much of upkeep as a stager asks for: answers from a list, then that nothing is due."""

    def __init__(self, *answers: Staged | Exception) -> None:
        self.answers, self.asked, self.announced = list(answers), 0, 0

    async def announce(self) -> None:
        self.announced += 1

    async def stage(self, *, limit: int, namespace: str | None = None) -> Staged:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else Staged(0, None)
        if isinstance(answer, Exception):
            raise answer
        return answer


def staging(*answers: Staged | Exception) -> tuple[Stager, Rounds]:
    rounds = Rounds(*answers)
    return Stager(cast(Upkeep, rounds), announce=rounds.announce, longest_sleep=5), rounds


@asynccontextmanager
async def running(stager: Stager) -> AsyncIterator[None]:
    loop = asyncio.create_task(stager.run())
    yield
    assert not loop.done(), "the loop has ended"
    loop.cancel()


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Staged(0, None), 5),
        (Staged(0, 3600), 5),
        (Staged(3, 1.5), 1.5),
        (Staged(3, 0), 0.02),
        (Staged(3, -1), 0.02),
        (Staged(1000, 3600), 0),
    ],
)
async def test_it_sleeps_until_the_next_job_is_due(answer: Staged, pause: float) -> None:
    stager, _ = staging(answer)
    assert await stager.tick() == pause


@pytest.mark.parametrize(("count", "announced"), [(0, 0), (1, 1), (1000, 1)])
async def test_what_it_staged_is_announced(count: int, announced: int) -> None:
    stager, rounds = staging(Staged(count, None))
    await stager.tick()
    assert rounds.announced == announced


@pytest.mark.parametrize(
    "error", [StorageUnavailable("gone"), StorageNotReady("run migrate"), RuntimeError("a fault of ours")]
)
async def test_the_loop_outlives_whatever_it_meets_and_tells_an_outage_once(error: Exception) -> None:
    stager, rounds = staging(*[error] * 3)
    with capture_logs() as logs:
        async with running(stager):
            await eventually("it asked again and again", lambda: rounds.asked >= 4)
    assert [entry["event"] for entry in logs] == ["staging.failing"]
    assert logs[0]["error"] == str(error)
    assert bool(logs[0]["exc_info"]) == isinstance(error, RuntimeError)


async def test_a_job_expected_sooner_is_looked_for_sooner() -> None:
    stager, rounds = staging(Staged(0, None), Staged(1, None))
    async with running(stager):
        await eventually("it sleeps", lambda: rounds.asked == 1)
        stager.expect(0)
        await eventually("it looked again", lambda: rounds.asked == 2, seconds=2)


async def test_a_job_expected_later_changes_nothing() -> None:
    stager, rounds = staging(Staged(0, 0.05))
    async with running(stager):
        await eventually("it sleeps", lambda: rounds.asked == 1)
        stager.expect(3600)
        await eventually("it looked when it meant to", lambda: rounds.asked == 2, seconds=2)


async def test_many_expectations_make_few_looks() -> None:
    stager, rounds = staging()
    async with running(stager):
        await eventually("it sleeps", lambda: rounds.asked == 1)
        for _ in range(1000):
            stager.expect(0.02)
        await eventually("it looked again", lambda: rounds.asked >= 2, seconds=2)
    assert rounds.asked <= 3
