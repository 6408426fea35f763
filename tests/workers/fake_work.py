"""A `Work` without a storage, and jobs for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from dataqueue.domain.claimed import ClaimedJob
from dataqueue.domain.job import Json, Note
from dataqueue.domain.retry import RetryPolicy
from dataqueue.domain.steps import NewStep, Step, StepOutcome
from dataqueue.domain.tokens import Token, TokenStatus
from dataqueue.errors import NotFound
from dataqueue.ids import new_id
from dataqueue.work import OnTimeout

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_job(
    job_type: str,
    payload: object = None,
    *,
    timeout_ms: int | None = None,
    crashes: int = 1,
    force_kill_on_timeout: bool = False,
    has_steps: bool = False,
) -> ClaimedJob:
    now = datetime.now(UTC)
    return ClaimedJob(
        id=new_id(),
        namespace="default",
        job_type=job_type,
        payload=Json(json.dumps(payload)),
        tags=("a", "b"),
        priority=3,
        attempts=2,
        max_attempts=5,
        crashes=crashes,
        invocation=4,
        timeout_ms=timeout_ms,
        retry=RetryPolicy(delay=1.5, backoff=False),
        run_at=now,
        created_at=now,
        locked_at=now,
        force_kill_on_timeout=force_kill_on_timeout,
        has_steps=has_steps,
    )


def a_token(token_id: UUID, job_id: UUID | None = None) -> Token:
    return Token(
        id=token_id,
        namespace="default",
        status=TokenStatus.WAITING,
        tags=("t",),
        job_id=job_id,
        name="token:1",
        output=None,
        timeout_at=NOW,
        created_at=NOW,
        completed_at=None,
        expired_at=None,
    )


@dataclass
class FakeWork:
    """Keeps what a handler stores and says. `saving` may raise, or wait, before a step is stored."""

    log: list[Step] = field(default_factory=list)
    tokens: dict[UUID, Token] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    refusing: Exception | None = None
    saving_at_a_time: int = 0
    most_at_a_time: int = 0
    pause: Callable[[], object] | None = None
    cancelled: bool = False

    async def steps(self) -> Sequence[Step]:
        return list(self.log)

    async def save_step(self, step: NewStep) -> Step:
        if self.refusing is not None:
            raise self.refusing
        self.saving_at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.saving_at_a_time)
        if self.pause is not None:
            await self.pause()  # type: ignore[misc]  # any awaitable
        self.saving_at_a_time -= 1
        value = step.value
        if step.token is not None:
            self.tokens[step.token.id] = a_token(step.token.id)
            value = Json(json.dumps({"id": str(step.token.id)}))
        stored = Step(name=step.name, kind=step.kind, outcome=StepOutcome.OK, value=value)
        self.log.append(stored)
        return stored

    async def token(self, token_id: UUID) -> Token:
        if token_id not in self.tokens:
            raise NotFound(f"no token {token_id}")
        return self.tokens[token_id]

    async def callback_url(self, token_id: UUID) -> str:
        return f"https://queue.example/callbacks/{token_id}"

    async def call(self, function: Callable[[], T]) -> T:
        return function()

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def prolong(self, ms: int | None) -> None:
        raise AssertionError("the process of the job keeps its time")

    def on_timeout(self, callback: OnTimeout) -> None:
        raise AssertionError("the process of the job keeps its time")
