"""The service under schemathesis: served as in production, asked whatever its document allows and forbids."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import schemathesis
import uvicorn
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from starlette.types import ASGIApp, Receive, Scope, Send

from app.main import Api
from app.watching import Watcher
from dataqueue.callback_urls import callback_urls_of
from dataqueue.domain.keys import Scope as KeyScope
from dataqueue.domain.tokens import NewToken
from dataqueue.ids import new_id
from dataqueue.processing.presence import Presence
from dataqueue.storage.port import Storage
from tests.api.agreements import agree
from tests.api.line_by_line import with_lists_of_lines
from tests.api.support import given_key, started
from tests.storage.given import NAMESPACE, REACHABLE, given_job

# What uvicorn answers to a request that is none, such as one with a Content-Length of no digits: it reaches no route.
_NO_HTTP: Final = "400 Invalid HTTP request received."
_LONGEST_WAIT: Final = 0.01
_SCENARIOS: Final = 6
"""For each operation, on average."""
_OF_EACH_STATUS: Final = 5
_TOKENS: Final = 20


class ImpatientWatcher(Watcher):
    """Waits as asked, but never for long: schemathesis likes the largest `wait` that is allowed, a minute each."""

    async def wait(self, namespace: str, job_id: UUID, *, timeout: float) -> None:
        await super().wait(namespace, job_id, timeout=min(timeout, _LONGEST_WAIT))


class Counted:
    """An application, and how many requests reached it. Events are asked for as a page, whatever the request says.

    A stream of them is an answer for as long as somebody listens, and schemathesis listens to the end. It repeats
    requests for its checks as it sees fit, so that this cannot be left to the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self.requests = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        if scope["path"] == "/v1/events":
            others = [(name, value) for name, value in scope["headers"] if name != b"accept"]
            scope = {**scope, "headers": [*others, (b"accept", b"application/json")]}
        await self._app(scope, receive, send)


@dataclass
class Seen:
    """What a run asked, what it was answered, and what was wrong about that."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By operation and status, of requests with the operation's own method."""
    checks: Counter[str] = field(default_factory=Counter)
    phases: dict[str, Status] = field(default_factory=dict)
    failures: defaultdict[str, dict[tuple[str, ...], str]] = field(default_factory=lambda: defaultdict(dict))
    """By operation and kind: one example."""
    errors: list[str] = field(default_factory=list)
    requests: int = 0


async def fuzzed(storage: Storage, *, folder: Path, seed: int, requests: int) -> Seen:
    """Serve that storage, send it about that many requests, and say what was seen."""
    ours = await given_key(storage, *KeyScope)
    theirs = await given_key(storage, *KeyScope, namespace="theirs")
    async with started(storage) as app:
        app.service.watcher = ImpatientWatcher(storage)
        counted = Counted(app)
        async with _somebody_working(storage), _served(counted) as url:
            schema = schemathesis.openapi.from_dict(
                with_lists_of_lines(app.openapi()),
                config=schemathesis.Config.from_dict(
                    _config(app, seed=seed, requests=requests, identities=_identities(folder, ours=ours, theirs=theirs))
                ),
            )
            schema.config.update(base_url=url)
            agree(schema, app, callback_urls=await _given_urls(storage))
            seen = await asyncio.to_thread(_run, schema)
        seen.requests = counted.requests
        return seen


@asynccontextmanager
async def _somebody_working(storage: Storage) -> AsyncIterator[None]:
    """Jobs of every status, and a worker: what callers alone do not bring about."""
    for status in REACHABLE * _OF_EACH_STATUS:
        await given_job(storage, status=status, tags=("seeded", str(status)))
    presence = Presence(workers=storage.workers(NAMESPACE), worker_id="ann", job_types=["report"], drain=lambda: None)
    beating = asyncio.create_task(presence.run())
    try:
        yield
    finally:
        beating.cancel()


async def _given_urls(storage: Storage) -> list[str]:
    """Callback URLs of tokens that nobody has completed yet."""
    tokens = [NewToken(id=new_id(), tags=("seeded",)) for _ in range(_TOKENS)]
    urls = await callback_urls_of(storage, "")
    return [urls.of(NAMESPACE, token.id) for token in await storage.tokens(NAMESPACE).create(tokens)]


def _config(app: Api, *, seed: int, requests: int, identities: Path) -> dict[str, Any]:
    operations = [operation for path in app.openapi()["paths"].values() for operation in path.values()]
    varied = sum("parameters" in operation or "requestBody" in operation for operation in operations)
    return {
        "seed": seed,
        "continue-on-failure": True,
        "auth": {"wfc": {"path": str(identities), "user": "ours", "peers": ["ours", "theirs"]}},
        # An operation that varies is asked this often in the phase of random requests. The phases before it
        # ask as much as the document gives cause for.
        "generation": {"mode": "all", "max-examples": math.ceil(requests / varied), "database": "none"},
        "phases": {"stateful": {"generation": {"max-examples": _SCENARIOS * len(operations)}}},
        # What was learnt in one run must not steer the next.
        "cache": {"enabled": False},
        # They measure the machine and the document, not the service.
        "suppress-health-check": ["all"],
        "output": {"sanitization": {"enabled": False}},
    }


def _identities(folder: Path, *, ours: str, theirs: str) -> Path:
    """Two callers who must not see each other's jobs, as schemathesis wants to be told of them."""
    file = folder / "identities.json"
    callers = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
        for name, key in (("ours", ours), ("theirs", theirs))
    ]
    file.write_text(json.dumps({"auth": callers}))
    return file


class _Server(uvicorn.Server):
    """uvicorn, which leaves the signals to the test run."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def _served(app: ASGIApp) -> AsyncIterator[str]:
    """Its URL."""
    server = _Server(
        uvicorn.Config(app, port=0, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    )
    serving = asyncio.create_task(server.serve())
    await server.up.wait()
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving


def _run(schema: schemathesis.BaseSchema) -> Seen:
    seen = Seen()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _note(seen, event.recorder)
            case events.PhaseFinished():
                seen.phases[event.phase.name.value] = event.status
            case events.NonFatalError():
                seen.errors.append(f"{event.phase}, {event.label}: {event.value!r}")
            case events.FatalError():
                raise event.exception
    return seen


def _note(seen: Seen, scenario: ScenarioRecorder) -> None:
    for id, interaction in scenario.interactions.items():
        operation = scenario.cases[id].value.operation
        if interaction.response is not None and interaction.request.method == operation.method.upper():
            seen.answers[operation.label, interaction.response.status_code] += 1
    for id, checks in scenario.checks.items():
        for check in checks:
            seen.checks[check.name] += 1
            if check.failure_info is not None:
                failure = check.failure_info.failure
                response = scenario.find_response(case_id=id)
                answer = "" if response is None else f"{response.status_code} {response.text[:500]}"
                if answer == _NO_HTTP:
                    continue
                told = f"{check.name}: {failure.message}\n{check.failure_info.code_sample}\n{answer}"
                # What tells one problem from another, the id of the request left out.
                kind = check.name, failure.title, answer.partition(',"request_id"')[0]
                seen.failures[failure.operation or ""].setdefault(kind, told)
