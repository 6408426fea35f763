"""The document says what the service does."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from app.schemas.tokens import CallbackOut, CreatedTokenOut, ExpiredOut, TokenOut, TokenPage, TokenRequest
from dataqueue import errors
from dataqueue.domain.job import Job
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.tokens import Token
from dataqueue.settings import Settings

DOCUMENT: Final = create_app(Settings()).openapi()
OPERATIONS: Final = [
    pytest.param(operation, id=operation["operationId"])
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
]

OF_MANY: Final = {"cancel_jobs", "retry_jobs", "edit_jobs", "delete_jobs"}
"""They pass over what cannot be changed."""

MEDIA_TYPES: Final = {"import_jobs": "application/x-ndjson", "read_metrics": "text/plain"}

OF_LINES: Final = {"import_jobs"}
"""They refuse what cannot be stored line by line."""


OF_EVERYBODY: Final = {"healthz", "readyz", "call_back"}
"""They need no key."""

OF_SEVERAL_SCOPES: Final = {"complete_token"}
"""Each of which is enough."""

OF_WORKERS_ALONE: Final = {errors.NonDeterministicHandler}
"""What no caller is ever told."""

NEVER_IN_CONFLICT: Final = {
    *OF_MANY, "put_job_type", "pause_job_type", "resume_job_type", "drain_worker", "run_maintenance", "issue_ticket",
    "create_token", "expire_tokens",
}  # fmt: skip
NEVER_MISSING: Final = {"put_job_type", "pause_job_type", "resume_job_type"}
"""They make what is not there."""


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
        "edit_job", "delete_job", "cancel_jobs", "retry_jobs", "edit_jobs", "delete_jobs",
        "import_jobs", "list_tags", "read_tag", "list_job_types", "read_job_type", "put_job_type", "pause_job_type",
        "resume_job_type", "read_stats", "list_workers", "drain_worker", "run_maintenance", "read_metrics", "healthz",
        "readyz", "follow_events", "issue_ticket", "create_token", "list_tokens", "read_token", "complete_token",
        "call_back", "expire_tokens",
    }  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_explained_with_an_example_of_each_body(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    media_type = MEDIA_TYPES.get(operation["operationId"], "application/json")
    bodies = [operation["requestBody"]["content"][media_type]] if "requestBody" in operation else []
    answers = [answer for status, answer in operation["responses"].items() if status in ("200", "201")]
    assert answers or "204" in operation["responses"]
    bodies += [answer["content"][media_type] for answer in answers]
    for body in bodies:
        if "$ref" not in str(body["schema"]):
            assert body["example"]
            continue
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
        expected |= {"415"}
        if operation["operationId"] not in OF_LINES:
            expected |= {"413"} if operation["operationId"] in NEVER_IN_CONFLICT else {"409", "413"}
    named = any(parameter["in"] == "path" for parameter in operation.get("parameters", []))
    if named and operation["operationId"] not in NEVER_MISSING:
        expected |= {"404"}
    assert expected <= set(problems)
    for status, answer in problems.items():
        [(media_type, body)] = answer["content"].items()
        assert media_type == "application/problem+json"
        assert body["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert body["example"]["status"] == int(status)
        assert body["example"]["code"] in set(Code)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_names_the_scope_it_needs(operation: dict[str, Any]) -> None:
    if operation["operationId"] not in OF_EVERYBODY:
        [requirement] = operation["security"]
        [scopes] = requirement.values()
        assert list(requirement) == ["ApiKey"]
        assert len(scopes) == (2 if operation["operationId"] in OF_SEVERAL_SCOPES else 1)
    else:
        assert "security" not in operation


def test_every_code_is_documented_and_every_meaning_has_one() -> None:
    assert DOCUMENT["components"]["schemas"]["Code"]["enum"] == [code.value for code in Code]
    meanings = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DataQueueError)
    ]
    assert len(meanings) > 10
    for meaning in meanings:
        if meaning not in OF_WORKERS_ALONE | {errors.DataQueueError}:
            assert meaning.code in set(Code), meaning
            assert any(kind in STATUS_OF for kind in meaning.__mro__[:-3]), meaning


def test_nothing_is_left_of_fastapis_own_errors() -> None:
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)


def test_a_job_is_documented_with_all_its_fields() -> None:
    assert list(JobOut.model_fields) == [field.name for field in fields(Job) if field.name != "seq"]


def test_a_token_is_documented_with_all_its_fields() -> None:
    """All but the namespace, which is the caller's own (details E1)."""
    assert list(TokenOut.model_fields) == [field.name for field in fields(Token) if field.name != "namespace"]
    assert set(CreatedTokenOut.model_fields) - set(TokenOut.model_fields) == {"callback_url"}


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
        (BulkChanged, examples.BULK_CHANGED), (TokenRequest, examples.TOKEN_REQUEST), (TokenOut, examples.TOKEN),
        (CreatedTokenOut, examples.TOKEN_CREATED), (TokenPage, examples.TOKENS), (ExpiredOut, examples.EXPIRED),
        (CallbackOut, examples.CALLED_BACK),
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


def test_bounds_are_told_in_the_words_of_json_schema() -> None:
    """And not in pydantic's, which it uses for what it cannot translate."""
    numbers = {name for name, value in _members(DOCUMENT["components"]["schemas"]) if isinstance(value, int | float)}
    assert not {"ge", "gt", "le", "lt"} & numbers
    assert {"minimum", "maximum"} <= numbers


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_names_the_headers_of_its_answers(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        expected = {"X-Request-Id"} | {"401": {"WWW-Authenticate"}, "503": {"Retry-After"}}.get(status, set())
        assert expected <= set(answer["headers"])


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _members(child)
