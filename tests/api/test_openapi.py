"""The document says what the service does."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Final

import httpx
import pytest

from app import export_openapi
from app.errors import STATUS_OF, Code
from app.main import create_app
from app.schemas import examples
from app.schemas.bulk import BulkChanged, BulkEditRequest, BulkRequest
from app.schemas.changing import EditRequest
from app.schemas.enqueue import BatchOut, BatchRequest, EnqueuedOut, EnqueueRequest
from app.schemas.filters import FilterBody
from app.schemas.jobs import EventOut, EventPage, JobOut, JobPage
from dataqueue import errors
from dataqueue.domain.job import Job
from dataqueue.domain.retry import RetryPolicy
from dataqueue.settings import Settings

DOCUMENT: Final = create_app(Settings()).openapi()
OPERATIONS: Final = [
    pytest.param(operation, id=operation["operationId"])
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
]

OF_MANY: Final = {"cancel_jobs", "retry_jobs", "edit_jobs", "delete_jobs"}
"""They pass over what cannot be changed."""


def schema_of(media: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body, looked up."""
    schema: dict[str, Any] = media["schema"]
    if "anyOf" in schema:
        [schema] = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def test_the_file_is_current() -> None:
    assert export_openapi.main(["--check"]) == 0


def test_the_check_notices_a_change(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    current = export_openapi.rendered()
    monkeypatch.setattr(export_openapi, "rendered", lambda: current + " ")
    assert export_openapi.main(["--check"]) == 1
    assert "make openapi" in capsys.readouterr().err


def test_the_document_is_the_same_each_time() -> None:
    assert create_app(Settings()).openapi() == DOCUMENT


async def test_the_service_hands_out_the_same_document(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == json.loads(export_openapi.rendered())


def test_the_operations_are_those_of_this_part() -> None:
    assert {operation.id for operation in OPERATIONS} == {
        "enqueue_job", "enqueue_batch", "list_jobs", "read_job", "list_job_events", "cancel_job", "retry_job",
        "edit_job", "delete_job", "cancel_jobs", "retry_jobs", "edit_jobs", "delete_jobs", "healthz", "readyz",
    }  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_explained_with_an_example_of_each_body(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    bodies = [operation["requestBody"]["content"]["application/json"]] if "requestBody" in operation else []
    answers = [answer for status, answer in operation["responses"].items() if status in ("200", "201")]
    assert answers or "204" in operation["responses"]
    bodies += [answer["content"]["application/json"] for answer in answers]
    for body in bodies:
        schema = schema_of(body)
        assert schema.get("examples") or not schema.get("properties"), schema["title"]
    for parameter in operation.get("parameters", []):
        assert parameter.get("description") or parameter["in"] == "path", parameter["name"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_names_its_problems(operation: dict[str, Any]) -> None:
    problems = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
    expected = {"422"}
    if "security" in operation:
        expected |= {"401", "403", "503"}
    if "requestBody" in operation:
        expected |= {"413", "415"} if operation["operationId"] in OF_MANY else {"409", "413", "415"}
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", [])):
        expected |= {"404"}
    assert expected <= set(problems)
    for status, answer in problems.items():
        [(media_type, body)] = answer["content"].items()
        assert media_type == "application/problem+json"
        assert body["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert body["example"]["status"] == int(status)
        assert body["example"]["code"] in set(Code)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_of_jobs_names_the_scope_it_needs(operation: dict[str, Any]) -> None:
    if operation["tags"] == ["jobs"]:
        [requirement] = operation["security"]
        [scopes] = requirement.values()
        assert list(requirement) == ["ApiKey"]
        assert len(scopes) == 1
    else:
        assert "security" not in operation


def test_every_code_is_documented_and_every_meaning_has_one() -> None:
    assert DOCUMENT["components"]["schemas"]["Code"]["enum"] == [code.value for code in Code]
    meanings = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DataQueueError)
    ]
    assert len(meanings) > 10
    for meaning in meanings:
        if meaning is not errors.DataQueueError:
            assert meaning.code in set(Code), meaning
            assert any(kind in STATUS_OF for kind in meaning.__mro__[:-3]), meaning


def test_nothing_is_left_of_fastapis_own_errors() -> None:
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)


def test_a_job_is_documented_with_all_its_fields() -> None:
    assert list(JobOut.model_fields) == [field.name for field in fields(Job) if field.name != "seq"]


def test_the_retry_fields_of_a_request_are_those_of_the_policy() -> None:
    names = {f"retry_{field.name}" for field in fields(RetryPolicy)}
    assert names <= set(EnqueueRequest.model_fields)
    assert names <= set(JobOut.model_fields)


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (EnqueueRequest, examples.REQUEST), (BatchRequest, examples.BATCH), (EnqueuedOut, examples.ENQUEUED),
        (BatchOut, examples.BATCH_ENQUEUED), (JobOut, examples.JOB), (JobPage, examples.JOBS),
        (EventOut, examples.EVENT), (EventPage, examples.EVENTS), (EditRequest, examples.EDIT),
        (FilterBody, examples.FILTER), (BulkRequest, examples.BULK), (BulkEditRequest, examples.BULK_EDIT),
        (BulkChanged, examples.BULK_CHANGED),
    ],
)  # fmt: skip
def test_an_example_is_one(model: Any, example: dict[str, Any]) -> None:
    assert model.model_validate_json(json.dumps(example))


def test_what_a_request_must_hold_and_may_not_hold_is_documented() -> None:
    schema = DOCUMENT["components"]["schemas"]["EnqueueRequest"]
    assert schema["required"] == ["job_type"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["payload"]["default"] == {}
    assert schema["properties"]["priority"]["maximum"] == 32767
