"""The application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.api import (
    bulk,
    changing,
    enqueue,
    events,
    health,
    importing,
    job_types,
    jobs,
    maintenance,
    metrics,
    not_built,
    stats,
    tags,
    token_callbacks,
    tokens,
    workers,
)
from app.cors import CrossOrigin
from app.documentation import openapi_document
from app.edge import Edge
from app.lifespan import running
from app.requests import Requests
from app.service import Service
from dataqueue.settings import Settings
from dataqueue.storage.port import Storage


class Api(FastAPI):
    """FastAPI with one layer of ours instead of its stack, and the service its routes work with."""

    service: Service
    requests: Requests
    plain_paths: frozenset[str] = frozenset()
    """Those without parameters."""
    cors_origins: tuple[str, ...] = ()

    def build_middleware_stack(self) -> ASGIApp:
        edge = Edge(self.router, routes=self.routes, requests=self.requests)
        return CrossOrigin(edge, origins=self.cors_origins) if self.cors_origins else edge

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = openapi_document(self.routes)
        return self.openapi_schema


def create_app(settings: Settings | None = None, *, storage: Storage | None = None) -> Api:
    """The API over a storage, by default the one that the settings name; the factory for uvicorn."""
    chosen = Settings() if settings is None else settings

    @asynccontextmanager
    async def lifespan(app: Api) -> AsyncIterator[None]:
        async with running(chosen, storage) as app.service:
            yield

    app = Api(
        title="DataQueue",
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        # Else every request asks whether telemetry has been set up meanwhile (5 µs of 26).
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.cors_origins = chosen.cors_origins
    app.requests = Requests()
    # In front, not by include_router, which would match every request twice. The first is the busiest.
    modules = (
        enqueue,
        importing,
        jobs,
        changing,
        bulk,
        tags,
        job_types,
        stats,
        tokens,
        token_callbacks,
        events,
        workers,
        maintenance,
        metrics,
        not_built,
        health,
    )
    app.router.routes[:0] = [route for module in modules for route in module.router.routes]
    paths = (getattr(route, "path", "{") for route in app.router.routes)
    app.plain_paths = frozenset(path for path in paths if "{" not in path)
    return app
