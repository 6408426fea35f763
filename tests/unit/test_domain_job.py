"""Jobs as values."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from uuid import UUID

import pytest

from dataqueue.domain import events, filters, job, keys, retry
from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.events import EventName
from dataqueue.domain.job import EMPTY_OBJECT, NULL, FailureReason, JobStatus, Lease, NewJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.ids import new_id


def test_the_words_of_the_contract_are_the_values() -> None:
    assert {status.value for status in JobStatus} == {
        "pending",
        "processing",
        "waiting",
        "completed",
        "failed",
        "cancelled",
    }
    assert {"timeout", "handler_error", "invalid_payload", "crashed", "rejected"} == set(FailureReason)
    assert {name.value for name in EventName} >= {
        *("job:added", "job:processing", "job:completed", "job:failed", "job:released", "job:reclaimed"),
        *("job:cancelled", "job:retried", "job:dead_lettered"),
    }


def test_three_statuses_are_terminal() -> None:
    assert [status for status in JobStatus if status.is_terminal] == [
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
    ]


def test_a_new_job_without_a_word_has_the_defaults_of_the_contract() -> None:
    asked = NewJob(id=new_id(), job_type="mail")
    assert (asked.payload, asked.priority, asked.max_attempts, asked.tags) == ("{}", 0, None, ())
    assert (asked.run_at, asked.delay, asked.timeout_ms, asked.idempotency_key) == (None, None, None, None)
    assert (asked.retry, asked.dead_letter_job_type) == (RetryPolicy(), None)
    assert (EMPTY_OBJECT, NULL) == ("{}", "null")


@pytest.mark.parametrize(
    ("fields", "is_keyed"),
    [({}, False), ({"idempotency_key": "k"}, True), ({"id_is_callers": True}, True), ({"idempotency_key": ""}, True)],
)
def test_a_job_is_keyed_when_storing_it_can_meet_another(fields: dict[str, object], is_keyed: bool) -> None:
    assert NewJob(id=new_id(), job_type="mail", **fields).is_keyed is is_keyed  # type: ignore[arg-type]


def test_the_lease_of_a_claimed_job_is_its_id_and_invocation() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    claimed = ClaimedJob(
        id=UUID(int=7),
        namespace="default",
        job_type="mail",
        payload=EMPTY_OBJECT,
        tags=(),
        priority=0,
        attempts=1,
        max_attempts=3,
        crashes=0,
        invocation=5,
        timeout_ms=None,
        retry=RetryPolicy(),
        run_at=now,
        created_at=now,
        locked_at=now,
    )
    assert claimed.lease == Lease(UUID(int=7), 5)


@pytest.mark.parametrize("module", [events, filters, job, keys, retry])
def test_the_values_of_the_domain_cannot_be_changed(module: object) -> None:
    values = [found for found in vars(module).values() if isinstance(found, type) and dataclasses.is_dataclass(found)]
    assert values
    for value in values:
        assert value.__dataclass_params__.frozen, value  # type: ignore[attr-defined]
        assert hasattr(value, "__slots__"), value
