"""The OpenAPI document: what FastAPI derives from the routes, and the problems every route shares."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from app.errors import PROBLEM_JSON, Code
from app.schemas.problem import Problem

_REFERENCE: Final = "#/components/schemas/{model}"
_EXAMPLES: Final[dict[int, tuple[Code, str]]] = {
    401: (Code.UNAUTHENTICATED, "The key is missing, unknown or revoked. Send Authorization: Bearer dq_…"),
    403: (Code.INSUFFICIENT_SCOPE, "this key has none of the scopes that allow this: manage"),
    404: (Code.NOT_FOUND, "there is no such job"),
    409: (Code.ILLEGAL_TRANSITION, "cannot retry job 01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61: its status is completed"),
    410: (Code.POSITION_EXPIRED, "what came after this position is not kept any more"),
    413: (Code.BODY_TOO_LARGE, "The body is larger than the limit of 1048576 bytes."),
    415: (Code.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with content-type application/json."),
    422: (Code.VALIDATION_FAILED, "body.job_type: is required"),
    429: (Code.TOO_MANY_STREAMS, "This process has as many streams open as it may. Try again."),
    503: (Code.STORAGE_UNAVAILABLE, "The storage cannot be reached at the moment. Try again."),
}
_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}, "description": "How to authenticate."}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer"}, "description": "Seconds."}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer"}, "description": "Seconds."}},
}
_REQUEST_ID: Final[dict[str, Any]] = {
    "required": True,
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "description": "Name of this request in the logs: yours, if you sent a good one.",
}
_DESCRIPTION: Final = """A job queue as a service.

POST a job; workers pull it, run its handler, and retry it when it fails. Delivery is **at least once**: a job
that was accepted is never lost, its handler runs at least once, and its completion is recorded exactly once.

* Instants are RFC 3339 in UTC with microseconds. A duration is a number of seconds, a text such as `"90s"` or
  `"1h30m"`, or an object of `seconds minutes hours days weeks months years`.
* Errors are `application/problem+json` (RFC 9457) with a stable `code`. Every answer carries `x-request-id`;
  yours, 1 to 128 visible ASCII characters, is taken up.
* An unknown field or query parameter is a 422: nothing is silently ignored. `not_available` says that a field
  or an operation of the contract has not been built yet.
* A key belongs to one namespace, and sees nothing of another: what is there is not found.
* Every GET also answers HEAD; OPTIONS answers with `Allow`.
"""


def problems(*statuses: int, saying: Mapping[int, tuple[Code, str]] = _EXAMPLES) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its `responses`. `saying`: other examples than the usual ones."""
    return {status: _problem(status, *(saying.get(status) or _EXAMPLES[status])) for status in statuses}


def openapi_document(routes: list[BaseRoute]) -> dict[str, Any]:
    """The document, the same for the same code wherever it is made."""
    document = get_openapi(
        title="DataQueue",
        version=_version(),
        summary="A job queue as a service.",
        description=_DESCRIPTION,
        routes=routes,
        tags=[
            {"name": "jobs", "description": "Enqueue, read, and change the course of jobs."},
            {"name": "tokens", "description": "What a job can wait for, completed by somebody outside."},
            {"name": "events", "description": "Follow what happens, as it happens."},
            {"name": "operations", "description": "For whoever runs the service."},
        ],
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    document["components"]["headers"] = {"RequestId": _REQUEST_ID}
    for path in document["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                answer.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/RequestId"}
    _, shared = models_json_schema([(Problem, "serialization")], ref_template=_REFERENCE)
    document["components"]["schemas"].update(shared["$defs"])
    return document


def _problem(status: int, code: Code, detail: str) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": f"urn:dataqueue:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code.value,
        "request_id": "5f0e8a2d4c6101936b2e7c4a7d3f9b1c",
    }
    if status == 422:
        example["errors"] = [{"loc": ["body", "job_type"], "msg": "is required", "code": code.value}]
    schema = {"$ref": _REFERENCE.format(model=Problem.__name__)}
    content = {PROBLEM_JSON.decode(): {"schema": schema, "example": example}}
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase, "content": content}
    if status in _HEADERS:
        described["headers"] = dict(_HEADERS[status])
    return described


def _version() -> str:
    try:
        return version("dataqueue")
    except PackageNotFoundError:
        return "0.0.0"
