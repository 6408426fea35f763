"""Whatever a handler does becomes an outcome."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest
import structlog

from dataqueue import HandlerRegistry, Reject, Retry
from dataqueue.domain.job import Failure, FailureReason, Json
from dataqueue.domain.retry import RetryPolicy
from dataqueue.outcome import Completed, Failed
from dataqueue.processing.attempt import attempt, attempt_sync, timed_out
from tests.unit.claimed import a_claimed_job, work_for

DELAY = timedelta(seconds=7)
POLICY = RetryPolicy(delay=7, backoff=False)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raised(error: BaseException) -> Failure:
    def function() -> None:
        raise error

    return run(function)


def run(function: Any, payload: str = "{}") -> Failure:
    registry = HandlerRegistry()
    registry.handler("mail")(function)
    job = a_claimed_job(payload=Json(payload), retry=POLICY)
    outcome = attempt_sync(registry["mail"], job, work_for(job))
    assert isinstance(outcome, Failed)
    return outcome.failure


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ValueError("bad"), Failure("bad", "ValueError", retry_after=DELAY)),
        (ValueError(), Failure("ValueError", "ValueError", retry_after=DELAY)),
        (SystemExit(3), Failure("the handler called for exit (3)", "SystemExit", retry_after=DELAY)),
        (KeyboardInterrupt(), Failure("KeyboardInterrupt", "KeyboardInterrupt", retry_after=DELAY)),
        (Unprintable(), Failure("Unprintable", "Unprintable", retry_after=DELAY)),
        (ValueError("a\0b\ud800"), Failure("a\ufffdb?", "ValueError", retry_after=DELAY)),
        (Retry(after=2, message="later"), Failure("later", "Retry", retry_after=timedelta(seconds=2))),
        (Retry(message="later"), Failure("later", "Retry", retry_after=DELAY)),
        (Reject("never"), Failure("never", "Reject", FailureReason.REJECTED)),
        (ExceptionGroup("", [Reject("never")]), Failure("never", "Reject", FailureReason.REJECTED)),
        (
            ExceptionGroup("two", [Reject("never"), ValueError()]),
            Failure("two (2 sub-exceptions)", "ExceptionGroup", retry_after=DELAY),
        ),
    ],
)
def test_what_is_raised_is_a_failure(error: BaseException, failure: Failure) -> None:
    assert raised(error) == failure


def test_a_long_message_is_cut() -> None:
    assert len(raised(ValueError("x" * 100_000)).message) == 10_000


def test_a_payload_that_does_not_fit_is_not_tried_again() -> None:
    def send(payload: dict[str, int]) -> None:
        raise AssertionError("it was called")

    failure = run(send, '{"copies":"many"}')
    assert (failure.reason, failure.retry_after) == (FailureReason.INVALID_PAYLOAD, None)
    assert "payload.copies" in failure.message
    assert "many" not in failure.message


def test_an_output_that_is_no_json_is_not_tried_again() -> None:
    failure = run(lambda: math.nan)
    assert (failure.reason, failure.retry_after, failure.type) == (FailureReason.HANDLER_ERROR, None, "InvalidOutput")
    assert "not finite" in failure.message


async def test_an_async_handler_is_judged_alike() -> None:
    registry = HandlerRegistry()

    @registry.handler("mail")
    async def send(payload: int) -> int:
        await asyncio.sleep(0)
        return 1 // payload

    for payload, outcome in (("1", Completed(Json("1"))), ("0", Failed)):
        job = a_claimed_job(payload=Json(payload))
        got = await attempt(registry["mail"], job, work_for(job))
        assert got == outcome or type(got) is outcome


async def test_a_handler_that_cancels_itself_fails() -> None:
    registry = HandlerRegistry()

    @registry.handler("mail")
    async def send() -> None:
        raise asyncio.CancelledError

    job = a_claimed_job()
    outcome = await attempt(registry["mail"], job, work_for(job))
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "the handler was cancelled from within"


def test_a_timeout_names_the_milliseconds_and_is_tried_again() -> None:
    failure = timed_out(a_claimed_job(timeout_ms=1500, retry=POLICY)).failure
    assert failure == Failure("timed out after 1500 ms", "TimeoutError", FailureReason.TIMEOUT, DELAY)


def test_the_log_says_where_it_failed_and_repeats_no_message() -> None:
    with structlog.testing.capture_logs() as lines:
        raised(ValueError("s3cr3t"))
    [line] = [line for line in lines if line["event"] == "job.failed"]
    assert "s3cr3t" not in str(lines)
    assert line["where"][-1].startswith(f"{__file__}:")
