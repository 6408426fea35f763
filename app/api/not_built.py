"""Routes of the contract that are still to come: known, and said to be unavailable (details K8)."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.types import Receive, Scope, Send

from app.auth import requires
from app.errors import Code, Problem
from app.routing import JsonRoute

_PATHS: Final[dict[str, str]] = {
    "/v1/jobs/{job_id}/why": "GET",
    "/v1/crons": "GET POST",
    "/v1/crons/{rest:path}": "GET PATCH DELETE POST",
    "/v1/work/claim": "POST",
    "/v1/work/heartbeat": "POST",
    "/v1/work/report": "POST",
    "/v1/webhooks": "GET POST",
    "/v1/webhooks/{rest:path}": "GET PATCH DELETE POST",
    "/v1/keys": "GET POST",
    "/v1/keys/{rest:path}": "DELETE",
    "/v1/namespaces": "GET POST",
    "/v1/namespaces/{rest:path}": "DELETE",
    "/dashboard": "GET",
}


class NotBuiltRoute(JsonRoute):
    """A route that only checks the key."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._answers(scope["method"]):
            await self._admit(scope, dict(scope["headers"]))
            raise Problem(422, Code.NOT_AVAILABLE, "This operation is not available yet.")
        await super().handle(scope, receive, send)


async def not_built() -> None:
    """Never called."""


router = APIRouter(route_class=NotBuiltRoute, include_in_schema=False, dependencies=[requires()])
for _path, _methods in _PATHS.items():
    router.add_api_route(_path, not_built, methods=_methods.split(), response_model=None)
