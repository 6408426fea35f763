"""Following the stream with either client: what its lines say, and how it comes back to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest

from dataqueue import errors
from dataqueue.client import ProblemError, ServiceUnreachable
from tests.client.conftest import Speak
from tests.client.stub import LOST, REFUSED, Answer, Speaker, problem

BROKEN: Final = [LOST, REFUSED, problem(503, "storage_unavailable"), problem(429, "too_many_streams")]
GONE: Final = problem(410, "position_expired", "not kept any more")


def streamed(*blocks: str, status: int = 200) -> httpx.Response:
    """An answer that ends after these blocks."""
    return httpx.Response(status, content="".join(blocks), headers={"content-type": "text/event-stream"})


def block(position: int) -> str:
    return f'event: job:added\ndata: {{"id":"{position}","event":"job:added"}}\nid: {position}\n\n'


async def heard(speaker: Speaker, **where: Any) -> list[str]:
    """The ids of what is told until the service refuses, which the last answer must do."""
    told: list[str] = []

    async def hear() -> None:
        events = speaker.client.events(**where)
        if isinstance(events, AsyncIterator):
            async for event in events:
                told.append(event["id"])  # noqa: PERF401 - what was told before it is refused counts
        else:
            for event in events:
                told.append(event["id"])  # noqa: PERF401 - as above

    with pytest.raises(errors.PositionExpired):
        await hear()
    return told


def places(speaker: Speaker) -> list[str | None]:
    """Where each request said that it stands."""
    return [request.headers.get("last-event-id") for request in speaker.service.requests]


async def test_events_are_told_as_they_stand_in_the_stream(speak: Speak) -> None:
    opened = ": connected\nid: 3\n\n"
    split = 'event: job:edited\ndata: {"id":"5",\ndata: "changes":{"payload":1.0}}\nid: 5\n\n'
    speaker = speak(streamed(opened, block(4), ": ping\nid: 4\n\n", split), GONE)
    assert await heard(speaker) == ["4", "5"]


async def test_what_is_asked_for_goes_along_and_the_key_too(speak: Speak) -> None:
    speaker = speak(GONE, key="dq_secret")
    await heard(speaker, after="start", event=["job:failed", "job:completed"], tags="a", tag_mode="any", job_type=None)
    request = speaker.service.request
    assert request.url.query.decode() == "event=job%3Afailed&event=job%3Acompleted&tags=a&tag_mode=any&after=start"
    assert request.headers["authorization"] == "Bearer dq_secret"
    assert request.headers["accept"] == "text/event-stream"


@pytest.mark.parametrize("broken", BROKEN, ids=str)
async def test_it_comes_back_to_where_it_was_as_often_as_it_takes(speak: Speak, broken: Answer) -> None:
    cut = block(7)[:-2]
    speaker = speak(
        streamed(block(6), cut), *[broken] * 9, streamed(block(7)), streamed(": connected\nid: 9\n\n"), GONE
    )
    assert await heard(speaker) == ["6", "7"]
    # The seventh was cut off after its id: its event had not been told, so it is not resumed after it.
    assert places(speaker) == [None, *["6"] * 10, "7", "9"]


async def test_a_stream_that_ends_with_a_hint_is_asked_for_again_when_it_says(speak: Speak) -> None:
    speaker = speak(streamed(block(1), ": goodbye\nretry: 0\n\n"), streamed(block(2)), GONE)
    assert await heard(speaker) == ["1", "2"]


async def test_a_service_that_cannot_be_reached_at_all_is_given_up(speak: Speak) -> None:
    speaker = speak(*[REFUSED] * 4)
    with pytest.raises(ServiceUnreachable):
        await speaker.ask("events")
    assert len(speaker.service.requests) == 4


async def test_what_is_refused_is_not_asked_for_again(speak: Speak) -> None:
    speaker = speak(problem(401, "unauthenticated"))
    with pytest.raises(errors.Unauthenticated):
        await speaker.ask("events")
    busy = speak(*[problem(503, "storage_unavailable")] * 4)
    with pytest.raises(ProblemError):
        await busy.ask("events")
    assert len(busy.service.requests) == 4
