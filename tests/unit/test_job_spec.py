"""A job as Python code asks for it: what it becomes, and that the rules are those of the wire."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID

import pydantic
import pytest

from app.schemas.enqueue import EnqueueRequest
from dataqueue.domain.edit import UNSET, JobEdit
from dataqueue.domain.job import NewJob
from dataqueue.domain.retry import RetryPolicy
from dataqueue.errors import Invalid
from dataqueue.ids import is_uuid7
from dataqueue.job_spec import JobSpec, edit_of

MOST: Final = 1000
SOON: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
ID: Final = UUID("01990000-0000-7000-8000-000000000001")


def job_of(job_type: Any = "mail", payload: Any = None, **options: Any) -> NewJob:
    return JobSpec(job_type, payload, **options).to_job(max_payload_bytes=MOST)


def refusal_of(**options: Any) -> Invalid:
    with pytest.raises(Invalid) as caught:
        job_of(**options)
    return caught.value


def test_a_job_of_a_type_alone() -> None:
    job = JobSpec("mail").to_job(max_payload_bytes=MOST)
    assert is_uuid7(job.id)
    assert job == NewJob(id=job.id, job_type="mail")
    assert not job.is_keyed


def test_a_job_with_everything() -> None:
    job = job_of(
        "mail",
        {"to": "ann"},
        priority=-3,
        delay="1h30m",
        max_attempts=5,
        timeout_ms=1500,
        force_kill_on_timeout=True,
        tags=["a", "b", "a"],
        idempotency_key="once",
        retry_delay=timedelta(seconds=10),
        retry_backoff=False,
        retry_delay_max={"minutes": 2},
        dead_letter_job_type="mail.dead",
        id=str(ID),
    )
    assert job == NewJob(
        id=ID,
        job_type="mail",
        payload=job.payload,
        priority=-3,
        delay=timedelta(minutes=90),
        max_attempts=5,
        timeout_ms=1500,
        force_kill_on_timeout=True,
        tags=("a", "b"),
        idempotency_key="once",
        retry=RetryPolicy(delay=10, backoff=False, delay_max=120),
        dead_letter_job_type="mail.dead",
        id_is_callers=True,
    )
    assert json.loads(job.payload) == {"to": "ann"}


def test_an_instant_is_kept_in_utc() -> None:
    job = job_of(run_at=datetime(2030, 1, 1, 14, tzinfo=timezone(timedelta(hours=2))))
    assert job.run_at is not None
    assert job.run_at.isoformat() == SOON.isoformat()


def test_none_is_a_payload() -> None:
    assert job_of(payload=None).payload == "null"


GOOD: Final[dict[str, list[Any]]] = {
    "job_type": ["a", "a.b_c:d/e@f-G9", "x" * 200],
    "priority": [-32768, 0, 32767],
    "max_attempts": [1, 1000],
    "timeout_ms": [1, 100 * 365 * 86_400_000],
    "force_kill_on_timeout": [False, None],
    "tags": [[], ["x" * 200], [str(n) for n in range(50)]],
    "idempotency_key": ["k", "x" * 255],
    "retry_delay": [0, 0.5, "10m", {"hours": 1}],
    "retry_delay_max": [0, 36_500 * 86_400],
    "retry_backoff": [True, False],
    "delay": [0.001, "2w", {"days": 1, "hours": 2}],
    "dead_letter_job_type": ["dead"],
    "payload": [None, 0, "é", {"a": [1, 2**70]}],
    "id": [str(ID)],
}
BAD: Final[dict[str, list[Any]]] = {
    "job_type": ["", "a b", "x" * 201, "é", "a\n", 7, None],
    "priority": [-32769, 32768, True, "5", 1.5, None],
    "max_attempts": [0, 1001, True, "3", 2.5],
    "timeout_ms": [0, -1, 100 * 365 * 86_400_000 + 1, True, "10s", 1.5],
    "force_kill_on_timeout": [1, "yes"],
    "tags": [[""], ["x" * 201], [str(n) for n in range(51)], "tag", [7], ["a\0"], {"a": 1}],
    "idempotency_key": ["", "x" * 256, "a\0", 7],
    "retry_delay": [-1, "", "soon", True, {}, {"eons": 1}, 36_501 * 86_400, math.nan],
    "retry_delay_max": [-1, True],
    "retry_backoff": [1, "yes"],
    "delay": [0, -1, "5 m", True, math.inf],
    "dead_letter_job_type": ["", "a b"],
    "payload": ["\0", {"\0": 1}, math.nan, [math.inf]],
    "id": ["5c1f7c5e-0d0e-4a5e-9f64-0d1c3f0b7c11", "7", 7],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in GOOD for value in GOOD[field]], ids=repr)
def test_what_the_wire_takes_is_taken(field: str, value: Any) -> None:
    asked = {"job_type": "mail", field: value}
    EnqueueRequest.model_validate(asked)
    assert isinstance(job_of(**asked), NewJob)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BAD for value in BAD[field]], ids=repr)
def test_what_the_wire_refuses_is_refused_by_the_name_of_its_field(field: str, value: Any) -> None:
    asked = {"job_type": "mail", field: value}
    with pytest.raises(pydantic.ValidationError):
        EnqueueRequest.model_validate(asked)
    refusal = refusal_of(**asked)
    assert refusal.loc[0] == field
    assert str(refusal).startswith(field)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("payload", "\0", "invalid_json"),
        ("payload", "\ud800", "invalid_json"),
        ("payload", ..., "invalid_json"),
        ("tags", ["\ud800"], "invalid_json"),
        ("idempotency_key", "a\0", "invalid_json"),
        ("payload", "x" * (MOST - 1), "payload_too_large"),
        ("payload", "é" * (MOST // 2), "payload_too_large"),
        ("priority", 10**6, "validation_failed"),
    ],
    ids=repr,
)
def test_a_refusal_has_the_code_of_the_wire(field: str, value: Any, code: str) -> None:
    assert refusal_of(**{field: value}).code == code


def test_the_largest_payload_is_taken() -> None:
    assert len(job_of(payload="x" * (MOST - 2)).payload) == MOST


@pytest.mark.parametrize(
    "value",
    [
        datetime(2030, 1, 1),  # noqa: DTZ001 - this is what is refused
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2201, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12))),
        "2030-01-01T00:00:00Z",
        SOON.date(),
    ],
    ids=str,
)
def test_an_instant_nobody_could_keep_is_refused(value: Any) -> None:
    assert refusal_of(run_at=value).loc == ("run_at",)


def test_run_at_and_delay_exclude_each_other() -> None:
    assert refusal_of(run_at=SOON, delay=1).loc == ("delay",)


def test_a_job_without_a_timeout_is_killed_at_none() -> None:
    assert refusal_of(force_kill_on_timeout=True).loc == ("force_kill_on_timeout",)


def test_a_refusal_says_where_in_a_batch() -> None:
    with pytest.raises(Invalid, match=r"^4\.tags\.1 must be") as caught:
        JobSpec("mail", tags=["a", ""]).to_job(max_payload_bytes=MOST, at=(4,))
    assert caught.value.loc == (4, "tags", 1)


def test_an_edit_holds_what_was_named_and_nothing_else() -> None:
    assert edit_of({}, max_payload_bytes=MOST) == JobEdit()
    assert edit_of({"priority": 5, "tags": ["a", "a"], "run_at": None}, max_payload_bytes=MOST) == JobEdit(
        priority=5, tags=("a",), run_at=None
    )
    assert edit_of({"payload": None, "delay": 60}, max_payload_bytes=MOST) == JobEdit(
        payload=job_of(payload=None).payload, delay=timedelta(minutes=1)
    )


@pytest.mark.parametrize(
    ("updates", "field"),
    [
        ({"priority": "5"}, "priority"),
        ({"delay": None}, "delay"),
        ({"force_kill_on_timeout": "no"}, "force_kill_on_timeout"),
        ({"payload": math.nan}, "payload"),
        ({"job_type": "other"}, "job_type"),
        ({"idempotency_key": "k"}, "idempotency_key"),
        ({"id": ID}, "id"),
        ({"colour": "red"}, "colour"),
        ({"run_at": SOON, "delay": 1}, "delay"),
        ({"run_at": None, "delay": 1}, "delay"),
    ],
    ids=repr,
)
def test_an_edit_is_held_to_the_same_rules(updates: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        edit_of(updates, max_payload_bytes=MOST)
    assert caught.value.loc == (field,)


def test_every_editable_field_of_the_domain_can_be_edited() -> None:
    values = {
        "payload": 1, "priority": 1, "run_at": SOON, "max_attempts": 1, "timeout_ms": 1, "tags": ["a"],
        "retry_delay": 1, "retry_backoff": True, "retry_delay_max": 1, "dead_letter_job_type": "dead",
        "force_kill_on_timeout": True,
    }  # fmt: skip
    edit = edit_of(values, max_payload_bytes=MOST)
    assert {name for name, _ in edit.given()} == set(values)
    assert edit.delay is UNSET
    assert {name for name, _ in edit_of({"delay": 1}, max_payload_bytes=MOST).given()} == {"delay"}


def test_ids_are_taken_as_uuids_too() -> None:
    assert job_of(id=UUID(str(ID))).id == ID
