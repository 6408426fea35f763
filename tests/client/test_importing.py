"""Any number of lines goes out, some at a time; each is answered under its own number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import pytest

from dataqueue.client import AsyncClient, ProblemError, ServiceUnreachable
from dataqueue.client.answers import ImportAnswer
from dataqueue.client.encoding import decode
from dataqueue.client.importing import MOST_LINES
from tests.client.conftest import Speak
from tests.client.stub import LOST, lines, problem

KEYED: Final = '{"job_type":"a","idempotency_key":"k"}'
UNKEYED: Final = '{"job_type":"a"}'


def summary(**counts: int) -> str:
    full = {"lines": 0, "created": 0, "existing": 0, "rejected": 0} | counts
    return str(full).replace("'", '"').join(('{"summary":', "}"))


async def one_of(answers: AsyncIterator[ImportAnswer] | Iterator[ImportAnswer]) -> ImportAnswer:
    return await anext(answers) if isinstance(answers, AsyncIterator) else next(answers)


async def test_jobs_and_lines_go_out_as_ndjson(speak: Speak) -> None:
    speaker = speak(lines('{"line":1,"id":"x","created":true}', summary(lines=4, created=1)))
    given = [{"job_type": "a", "payload": None, "priority": None}, "", b'{"job_type":"b"}\r\n', "x\n"]
    assert await speaker.ask("import_jobs", given) == [
        {"line": 1, "id": "x", "created": True},
        {"summary": {"lines": 4, "created": 1, "existing": 0, "rejected": 0}},
    ]
    request = speaker.service.request
    assert (request.method, request.url.path) == ("POST", "/v1/jobs/import")
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.content == b'{"job_type":"a","payload":null}\n\n{"job_type":"b"}\nx\n'


async def test_nothing_to_import_is_no_request(speak: Speak) -> None:
    speaker = speak()
    assert await speaker.ask("import_jobs", []) == [
        {"summary": {"lines": 0, "created": 0, "existing": 0, "rejected": 0}}
    ]
    assert speaker.service.requests == []


async def test_many_lines_are_several_requests_and_keep_their_numbers(speak: Speak) -> None:
    per_request = [MOST_LINES, MOST_LINES, 1]
    answers = [
        lines(
            *(f'{{"line":{n},"id":"{n}","created":true}}' for n in range(2, count + 1)),
            '{"line":1,"error":{"code":"c","detail":"d"}}',
            summary(lines=count, created=count - 1, existing=2, rejected=1),
        )
        for count in per_request
    ]
    speaker = speak(*answers)
    given = await speaker.ask("import_jobs", [KEYED] * sum(per_request))
    assert [len(request.content.splitlines()) for request in speaker.service.requests] == per_request
    assert sorted(one["line"] for one in given[:-1]) == list(range(1, sum(per_request) + 1))
    assert [one["line"] for one in given if "error" in one] == [1, MOST_LINES + 1, 2 * MOST_LINES + 1]
    assert given[-1] == {"summary": {"lines": 2001, "created": 1998, "existing": 6, "rejected": 3}}


async def test_long_lines_go_out_a_few_at_a_time(speak: Speak) -> None:
    long = "x" * (3 << 20)
    speaker = speak(*[lines(summary(lines=1))] * 4)
    await speaker.ask("import_jobs", [long, long, "short", "x" * (5 << 20)])
    assert [len(request.content.splitlines()) for request in speaker.service.requests] == [1, 2, 1]


async def test_answers_are_there_before_the_rest_has_been_read(speak: Speak) -> None:
    """Memory is bounded by what is on the way, however much there is to read."""
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield UNKEYED

    speaker = speak(lines('{"line":1,"id":"x","created":true}', summary(lines=MOST_LINES)))
    answers = speaker.client.import_jobs(endless())
    assert (await one_of(answers))["line"] == 1
    assert taken == MOST_LINES


async def test_the_async_client_takes_lines_as_they_come(speak: Speak) -> None:
    async def arriving() -> AsyncIterator[str]:
        for text in (UNKEYED, KEYED):
            yield text

    speaker = speak(lines(summary(lines=2)))
    if isinstance(speaker.client, AsyncClient):
        await speaker.ask("import_jobs", arriving())
        assert speaker.service.request.content == f"{UNKEYED}\n{KEYED}\n".encode()
    else:
        with pytest.raises(TypeError):
            await speaker.ask("import_jobs", arriving())


SILENT: Final[list[Any]] = [
    LOST,
    lines(),
    httpx.Response(200, content='{"line":1,"id":'),
    problem(503, "storage_unavailable"),
]


CUT: Final = [*SILENT, lines('{"line":1,"id":"x","created":true}')]


@pytest.mark.parametrize("cut", CUT, ids=["lost", "empty", "in the midst", "503", "no summary"])
@pytest.mark.parametrize("text", [[KEYED], [KEYED, "", "nonsense", "[]"]], ids=["keyed", "keyed and refused"])
async def test_lines_with_idempotency_keys_are_sent_again(speak: Speak, cut: Any, text: list[str]) -> None:
    speaker = speak(cut, lines('{"line":1,"id":"x","created":false}', summary(existing=1)))
    answers = await speaker.ask("import_jobs", text)
    assert answers[0] == {"line": 1, "id": "x", "created": False}
    assert len({request.content for request in speaker.service.requests}) == 1
    assert len(speaker.service.requests) == 2


@pytest.mark.parametrize("cut", SILENT, ids=["lost", "empty", "in the midst", "503"])
@pytest.mark.parametrize(
    "text",
    [UNKEYED, '{"job_type":"a","idempotency_key":null}', '{"id":"x","job_type":"a"}', "[" * 100_000],
    ids=["bare", "null", "id", "deep"],
)
async def test_other_lines_are_not_and_what_was_answered_before_stays_answered(
    speak: Speak, cut: Any, text: str
) -> None:
    speaker = speak(lines('{"line":1,"id":"x","created":true}', summary(lines=MOST_LINES)), cut)
    answers = speaker.client.import_jobs([text] * (MOST_LINES + 1))
    assert (await one_of(answers))["line"] == 1
    with pytest.raises((ServiceUnreachable, ProblemError)):
        await one_of(answers)
    assert len(speaker.service.requests) == 2


async def test_what_an_answer_says_before_it_breaks_off_is_not_lost(speak: Speak) -> None:
    away = '{"line":2,"error":{"code":"storage_unavailable","detail":"try again"}}'
    whole = lines('{"line":1,"id":"x","created":true}', away)
    speaker = speak(httpx.Response(200, content=whole.content + b'{"line":3,"i'))
    answers = speaker.client.import_jobs([UNKEYED] * 3)
    assert await one_of(answers) == {"line": 1, "id": "x", "created": True}
    assert "error" in await one_of(answers)
    with pytest.raises(ServiceUnreachable, match="in the midst of its answer") as raised:
        await one_of(answers)
    assert (raised.value.url, raised.value.outcome_unknown) == ("http://queue.test", True)


@pytest.mark.parametrize("text", ["{}\n{}", b"a\nb\n"])
async def test_a_line_that_is_several_is_refused_for_it_would_shift_the_numbers(speak: Speak, text: Any) -> None:
    with pytest.raises(ValueError, match="the end of a line"):
        await speak().ask("import_jobs", [text])


@pytest.mark.parametrize("text", [KEYED, KEYED.encode()])
async def test_a_text_is_not_taken_for_its_letters(speak: Speak, text: Any) -> None:
    with pytest.raises(TypeError, match="splitlines"):
        await speak().ask("import_jobs", text)


def test_what_is_sent_is_what_was_given() -> None:
    from dataqueue.client.importing import line_of

    exact = '{"job_type":"a","payload":123456789012345678901234567890.10}'
    assert line_of(exact) == exact.encode()
    assert decode(line_of({"job_type": "a", "payload": 2**70}))["payload"] == 2**70
