"""A problem is raised as the error that the same refusal is everywhere else in the package."""

from __future__ import annotations

import pickle
from typing import Any
from uuid import UUID

import httpx
import pytest

from dataqueue import errors
from dataqueue.client import Problem, ProblemError, ServiceUnreachable
from dataqueue.client.problems import error_of
from tests.client.conftest import Speak
from tests.client.stub import JOB_ID, LOST, REFUSED, answer, problem

DETAIL = f"cannot retry job {JOB_ID}: its status is completed"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthenticated", errors.Unauthenticated),
        (403, "insufficient_scope", errors.InsufficientScope),
        (404, "not_found", errors.NotFound),
        (409, "already_exists", errors.AlreadyExists),
        (409, "idempotency_in_progress", errors.IdempotencyInProgress),
        (409, "prerequisite_failed", errors.Conflict),
        (409, "illegal_transition", errors.Conflict),
        (409, "lease_lost", errors.LeaseLost),
        (409, "token_already_completed", errors.TokenAlreadyCompleted),
        (409, "step_kind_changed", errors.StepKindChanged),
        (403, "invalid_signature", errors.InvalidSignature),
        (410, "token_expired", errors.TokenExpired),
        (410, "position_expired", errors.PositionExpired),
        (422, "validation_failed", errors.Invalid),
        (422, "not_available", errors.Invalid),
        (501, "unsupported", errors.Unsupported),
        (503, "storage_unavailable", errors.StorageUnavailable),
        (503, "storage_not_ready", errors.StorageNotReady),
        (503, "overloaded", errors.StorageUnavailable),
        (500, "storage_refused", errors.StorageRefused),
    ],
)
async def test_a_problem_is_raised_as_what_it_means(
    speak: Speak, status: int, code: str, kind: type[errors.DataQueueError]
) -> None:
    with pytest.raises(kind) as raised:
        await speak(problem(status, code, "it is so")).ask("cancel", JOB_ID)
    assert isinstance(raised.value, ProblemError)
    assert raised.value.problem == Problem(status=status, code=code, detail="it is so", request_id="r1")
    assert (raised.value.code, str(raised.value)) == (code, "it is so")


@pytest.mark.parametrize(
    ("status", "code"), [(413, "body_too_large"), (429, "too_many_streams"), (500, "internal_error")]
)
async def test_a_problem_of_no_kind_we_know_is_a_plain_one(speak: Speak, status: int, code: str) -> None:
    with pytest.raises(ProblemError) as raised:
        await speak(problem(status, code)).ask("cancel", JOB_ID)
    assert type(raised.value) is ProblemError
    assert (raised.value.problem.status, raised.value.code) == (status, code)


async def test_what_is_wrong_with_the_fields_is_kept(speak: Speak) -> None:
    wrong = [{"loc": ["body", "jobs", 2, "job_type"], "msg": "is required", "code": "validation_failed"}]
    with pytest.raises(errors.Invalid) as raised:
        await speak(problem(422, "validation_failed", errors=wrong)).ask("enqueue_batch", [])
    assert raised.value.loc == ("body", "jobs", 2, "job_type")
    assert isinstance(raised.value, ProblemError)
    assert raised.value.problem.errors == tuple(wrong)


async def test_a_refused_transition_says_what_was_refused_and_why(speak: Speak) -> None:
    with pytest.raises(errors.IllegalTransition) as raised:
        await speak(problem(409, "illegal_transition", DETAIL)).ask("retry", JOB_ID)
    assert (raised.value.verb, raised.value.job_id, raised.value.status) == ("retry", UUID(JOB_ID), "completed")


def test_the_data_of_an_error_is_there_whatever_the_problem_says() -> None:
    def of(code: str, detail: str = "no") -> Any:
        return error_of(Problem(status=400, code=code, detail=detail))

    assert of("insufficient_scope", "this key has none of the scopes that allow this: manage, admin").scopes == (
        "manage",
        "admin",
    )
    assert of("insufficient_scope").scopes == ()
    assert of("validation_failed").loc == ()
    assert of("already_exists").index == 0
    assert of("storage_unavailable").outcome_unknown is True


@pytest.mark.parametrize(
    "given",
    [
        httpx.Response(502, text="<html>Bad Gateway</html>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(307, headers={"location": "https://elsewhere.test/"}),
        httpx.Response(500, json=[1]),
    ],
)
async def test_an_answer_that_is_not_the_services_says_so(speak: Speak, given: httpx.Response) -> None:
    speaker = speak(given)
    with pytest.raises(ProblemError, match=r"from http://queue\.test/v1/jobs/.*: is that a DataQueue\?") as raised:
        await speaker.ask("cancel", JOB_ID)
    assert type(raised.value) is ProblemError
    assert (raised.value.code, raised.value.problem.status) == ("unexpected_answer", given.status_code)


@pytest.mark.parametrize("given", [httpx.Response(200, text="<html>"), answer([1]), answer({"jobs": []}), answer("x")])
async def test_a_success_without_the_json_it_should_be_is_no_success(speak: Speak, given: httpx.Response) -> None:
    with pytest.raises(ProblemError, match="200 without the JSON it should be"):
        await speak(given).ask("workers")


@pytest.mark.parametrize(
    ("broken", "said", "unknown"),
    [
        (LOST, "the connection broke", True),
        (REFUSED, "Connection refused", False),
        (httpx.ConnectError("[Errno -2] Name or service not known"), "Name or service not known", False),
        (httpx.ReadTimeout(""), "ReadTimeout", True),
    ],
)
async def test_no_answer_says_where_and_whether_it_may_have_been_done(
    speak: Speak, broken: httpx.RequestError, said: str, *, unknown: bool
) -> None:
    with pytest.raises(ServiceUnreachable) as raised:
        await speak(broken).ask("cancel", JOB_ID)
    assert str(raised.value) == f"http://queue.test gave no answer: {said}"
    assert (raised.value.url, raised.value.outcome_unknown) == ("http://queue.test", unknown)


async def test_a_read_without_an_answer_has_done_nothing(speak: Speak) -> None:
    with pytest.raises(ServiceUnreachable) as raised:
        await speak(*[LOST] * 4).ask("stats")
    assert raised.value.outcome_unknown is False


@pytest.mark.parametrize(
    "error",
    [
        error_of(Problem(status=409, code="illegal_transition", detail=DETAIL)),
        error_of(Problem(status=404, code="not_found", detail="no such job")),
        ServiceUnreachable("no answer", url="http://queue.test", outcome_unknown=True),
    ],
)
def test_an_error_survives_the_way_to_another_process(error: errors.DataQueueError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
