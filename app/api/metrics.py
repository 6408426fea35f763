"""For Prometheus (contract 8, details J2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import Receive, Scope, Send

from app.auth import requires
from app.documentation import problems
from app.routing import Call, JsonRoute, Streamed
from dataqueue.domain.keys import Caller
from dataqueue.domain.keys import Scope as KeyScope
from dataqueue.errors import StorageNotReady, StorageUnavailable

_EXAMPLE: Final = """# HELP dataqueue_jobs Jobs there are, in your namespace.
# TYPE dataqueue_jobs gauge
dataqueue_jobs{job_type="email.send",status="pending"} 3.0
"""
_ANSWER: Final[dict[str, Any]] = {
    "description": "Metrics in Prometheus' text format.",
    "content": {"text/plain": {"example": _EXAMPLE}},
}


class MetricsRoute(JsonRoute):
    """A route that goes on answering while keys cannot be looked up, and that may be open."""

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller | None:
        service = scope["app"].service
        if service.settings.metrics_open and b"authorization" not in headers:
            return Caller(service.settings.namespace, frozenset({KeyScope.READ}))
        try:
            return await super()._admit(scope, headers)
        except (StorageUnavailable, StorageNotReady):
            # An outage is when metrics are wanted most, and what they tell then is of this process alone.
            known: Caller | None = service.auth.last_known(headers)
            if known is None or not known.may(KeyScope.READ):
                raise
            return known


router = APIRouter(route_class=MetricsRoute, tags=["operations"], dependencies=[requires(KeyScope.READ)])


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    response_model=None,
    summary="Read metrics",
    responses={200: _ANSWER, **problems(401, 403, 422, 503)},
)
async def read_metrics(call: Call) -> Streamed:
    """Jobs of the key's namespace, and how this process is doing, for Prometheus.

    Every name starts with `dataqueue_`. While the storage is away there is `dataqueue_storage_up 0`, and nothing of the
    namespace. Needs no key where the service was told so (`DATAQUEUE_METRICS_OPEN`).
    """
    app = call.scope["app"]
    body = await call.service.metrics.text(call.namespace, also=(app.requests.families,))

    async def send_text(receive: Receive, send: Send) -> None:
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return send_text
