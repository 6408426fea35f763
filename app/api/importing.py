"""Accepting any number of jobs as a stream (contract 1.1, details C17)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from starlette.responses import JSONResponse
from starlette.types import Receive, Send

from app.auth import requires
from app.documentation import problems
from app.errors import invalid
from app.importing import NDJSON, Import
from app.lines import LineReader
from app.reading import check_media_type
from app.routing import Call, JsonRoute, Streamed
from app.schemas import examples
from app.schemas.importing import ImportLine
from dataqueue.domain.keys import Scope

router = APIRouter(route_class=JsonRoute, tags=["jobs"], dependencies=[requires(Scope.ENQUEUE)])


class NdjsonResponse(JSONResponse):
    """For the document: what the answer is."""

    media_type = NDJSON


_BODY: Final[dict[str, Any]] = {
    "description": "One job a line, each what POST /v1/jobs takes; no body is a body of no lines.",
    "content": {
        NDJSON: {
            "schema": {"$ref": "#/components/schemas/EnqueueRequest"},
            "example": examples.ndjson(examples.REQUEST, {"job_type": "report.build", "delay": "10m"}),
        }
    },
}
_ANSWER: Final[dict[str, Any]] = {
    "description": "A line for each line of the body, in order, then a summary.",
    "content": {NDJSON: {"example": examples.ndjson(*examples.IMPORTED)}},
}


@router.post(
    "/v1/jobs/import",
    response_model=ImportLine,
    response_class=NdjsonResponse,
    summary="Enqueue any number of jobs, one a line",
    responses={200: _ANSWER, **problems(401, 403, 404, 415, 422, 503)},
    openapi_extra={"requestBody": _BODY},
)
async def import_jobs(
    call: Call,
    idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Streamed:
    """Store jobs while they arrive, and answer each line once its job is certain.

    Lines are stored in order, at most a thousand in one act, and fewer when none comes for a moment. A line that is no
    job, or is longer than a request body may be, is rejected by its number, and the rest goes on. Lines without
    anything but white space are counted in the numbers and not answered. Within a thousand, jobs with an idempotency
    key or an id of yours come after those without.

    Answers may be read at any time: while sending, or after everything was sent. **When the connection breaks, send
    the same again with the same idempotency keys**: what is there is answered `created: false`. Only with the summary
    were all lines read. If the storage cannot be reached before anything was answered, the answer is a 503; later
    the lines concerned are rejected as `storage_unavailable`, and the answer ends without a summary, as it does when
    the service stops. The media type may also be application/jsonl, or any other with `json` in it.
    """
    if idempotency_key is not None:
        raise invalid(("header", "idempotency-key"), "belongs to one job: give each its own idempotency_key")
    check_media_type(dict(call.scope["headers"]), usual=NDJSON.encode())
    service, settings = call.service, call.service.settings
    an_import = Import(
        service.imports,
        reader=LineReader(max_line_bytes=settings.max_body_bytes, max_payload_bytes=settings.max_payload_bytes),
        writer=service.enqueuer(call.namespace),
        stored=service.expect_due,
    )

    async def stream(receive: Receive, send: Send) -> None:
        await service.imports.run(an_import, receive, send)

    return stream
