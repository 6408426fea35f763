"""What a log line may show, whoever writes it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from workers.logs import configure_logging, masked

KEY = "dq_" + "Ab3_-" * 8


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged, line by line, as a process of ours does."""
    out, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", out)
    configure_logging()
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:], root.level = before


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Bearer {KEY}", "Bearer ***"),
        (f"the key {KEY} is unknown", "the key dq_*** is unknown"),
        ("dq_AbCdEfGh is the start of a key", "dq_AbCdEfGh is the start of a key"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", "signed with whsec_***"),
        ("Authorization: Basic QWxhZGRpbjpvcGVu", "Authorization: Basic ***"),
        ("[(b'authorization', b'Bearer some-other-token')]", "[(b'authorization', b'Bearer ***')]"),
        ("{'authorization': 'naked'}", "{'authorization': '***'}"),
        ("GET /v1/events?ticket=abc&x=1", "GET /v1/events?ticket=***&x=1"),
        ("/callback?namespace=a&signature=AbC_-9", "/callback?namespace=a&signature=***"),
        ("host=db password=hunter2 user=me", "host=db password=*** user=me"),
        ("a basic rule, and a bearer of news", "a basic rule, and a bearer of news"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_secrets_are_found_in_values_of_any_shape(lines: Callable[[], list[dict[str, Any]]]) -> None:
    class Odd:
        def __repr__(self) -> str:
            return f"<odd {KEY}>"

    log = structlog.get_logger("mail")
    log.warning("sent", keys=[KEY, {"deep": (KEY, 1, None)}], odd=Odd(), raw=KEY.encode())
    logging.getLogger("mail").warning("with %s", KEY)
    assert KEY not in json.dumps(lines())
    first, second = lines()
    assert first["keys"] == ["dq_***", {"deep": ["dq_***", 1, None]}]
    assert second["event"] == "with dq_***"


def test_a_value_with_line_breaks_stays_on_its_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger("mail").warning("one\ntwo", value='\n{"event": "forged"}')
    [line] = lines()
    assert (line["event"], line["value"]) == ("one\ntwo", '\n{"event": "forged"}')


@pytest.mark.parametrize("name", ["dataqueue.processing", "app.edge", "workers.process", "uvicorn.error", "asyncio"])
def test_our_own_tracebacks_say_where_and_what_and_not_the_message(
    lines: Callable[[], list[dict[str, Any]]], name: str
) -> None:
    try:
        try:
            raise KeyError("the " + "payload")
        except KeyError as error:
            raise ExceptionGroup("of " + "the caller", [ValueError("of the " + "row")]) from error
    except ExceptionGroup as error:
        structlog.get_logger(name).exception("it.failed")
        structlog.get_logger(name).warning("it.failed", exc_info=error)
        logging.getLogger(name).exception("it.failed")
    for line in lines():
        assert all(kind in line["exception"] for kind in ("KeyError", "ExceptionGroup", "ValueError", "test_logs.py"))
        assert not any(text in json.dumps(line) for text in ("the payload", "of the caller", "of the row"))
    assert len(lines()) == 3


def test_a_handlers_own_traceback_is_shown_as_it_meant_it(lines: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        raise ValueError(f"no mail to {KEY}")
    except ValueError:
        structlog.get_logger("mail").exception("it.failed")
        logging.getLogger("mail").exception("it.failed")
    assert [line["exception"].splitlines()[-1] for line in lines()] == ["ValueError: no mail to dq_***"] * 2


def test_a_task_that_nobody_asks_about_does_not_show_its_exception(lines: Callable[[], list[dict[str, Any]]]) -> None:
    shown = "Task exception was never retrieved\nfuture: <Task finished exception=ValueError('of the (payload)>')>"
    logging.getLogger("asyncio").error(shown)
    assert lines()[0]["event"].endswith("<Task finished exception=ValueError>")
