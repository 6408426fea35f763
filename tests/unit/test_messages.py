"""What a worker and the process of an isolated job say to each other arrives as it was said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from dataqueue import errors
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Failure, FailureReason, Json, Note
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.steps import NewStep, Step, StepKind, StepOutcome, Wait
from dataqueue.domain.tokens import NewToken, Token, TokenStatus
from dataqueue.outcome import Completed, Crashed, Failed, Gone, Outcome, Released, Suspended
from workers.isolation.messages import (
    Answer,
    Ended,
    Message,
    Noted,
    Prolonged,
    Raised,
    ReadCallbackUrl,
    ReadSteps,
    ReadToken,
    Ready,
    Run,
    SaveStep,
    Started,
    error_of,
    from_line,
    raised,
    to_line,
)

NOW = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
ID = UUID(int=7)
TEXT = "ä \\ud800 \u2028 \n []"
VALUE = Json(json.dumps({"text": TEXT, "n": 1.0}))

JOB = ClaimedJob(
    id=ID,
    namespace="default",
    job_type="mail",
    payload=VALUE,
    tags=("a", "b"),
    priority=3,
    attempts=2,
    max_attempts=5,
    crashes=1,
    invocation=4,
    timeout_ms=5,
    retry=RetryPolicy(delay=1.5, backoff=False),
    run_at=NOW,
    created_at=NOW,
    locked_at=NOW,
    force_kill_on_timeout=True,
    has_steps=True,
)
STEP = Step(name="s", kind=StepKind.RUN, outcome=StepOutcome.OK, value=VALUE)
SLEEP = Step(name="wait:1", kind=StepKind.SLEEP, outcome=None, until=NOW)
TOKEN = Token(
    id=ID,
    namespace="default",
    status=TokenStatus.COMPLETED,
    tags=("t",),
    job_id=ID,
    name="token:1",
    output=VALUE,
    timeout_at=NOW,
    created_at=NOW,
    completed_at=NOW,
    expired_at=None,
)
OUTCOMES: list[Outcome] = [
    Completed(VALUE),
    Completed(None),
    Failed(Failure(TEXT, type="Error", reason=FailureReason.REJECTED, retry_after=timedelta(days=3, microseconds=1))),
    Failed(Failure("", retry_after=None)),
    Suspended(
        (
            Wait(name="a", delay=timedelta(hours=36, milliseconds=1)),
            Wait(name="b", until=NOW),
            Wait(name="c", token_id=ID),
        )
    ),
    Released(),
    Crashed(),
    Gone(),
]
MESSAGES: list[Message] = [
    *(Ended(outcome, left=("task x", "process")) for outcome in OUTCOMES),
    Run(JOB, 5.0),
    Ready(fit=False),
    Started(12345.678),
    Noted(Note(progress=30)),
    Noted(Note(output=VALUE)),
    Prolonged(86_400_000),
    ReadSteps(1),
    SaveStep(2, NewStep(name="s", value=VALUE)),
    SaveStep(3, NewStep(name="token:1", token=NewToken(id=ID, timeout=timedelta(hours=48), tags=("t",)))),
    ReadToken(4, ID),
    ReadCallbackUrl(5, ID),
    Answer(1, (STEP, SLEEP)),
    Answer(1, ()),
    Answer(2, STEP),
    Answer(4, TOKEN),
    Answer(5, "https://queue.example/callbacks/x"),
    Raised(6, "NotFound", TEXT),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_way(message: Message) -> None:
    line = to_line(message)
    assert line.count(b"\n") == 1
    assert from_line(line.rstrip()) == message


@pytest.mark.parametrize(
    "error",
    [
        errors.LeaseLost("taken"),
        errors.NotFound("nowhere"),
        errors.Invalid("not that"),
        errors.StepKindChanged("another kind"),
        errors.StorageRefused(TEXT),
        errors.StorageUnavailable("away", outcome_unknown=True),
        errors.StorageUnavailable("away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_as_what_it_was(error: errors.DataQueueError) -> None:
    found = error_of(from_line(to_line(raised(1, error))))
    assert (type(found), str(found)) == (type(error), str(error))
    assert getattr(found, "outcome_unknown", None) == getattr(error, "outcome_unknown", None)


def test_an_error_nobody_foresaw_comes_back_in_words() -> None:
    found = error_of(raised(1, ZeroDivisionError("by zero")))
    assert (type(found), str(found)) == (RuntimeError, "ZeroDivisionError: by zero")
