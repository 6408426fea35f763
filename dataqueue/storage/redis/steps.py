"""The step logs of one namespace's jobs in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final
from uuid import UUID

from dataqueue.domain.job import NULL, Json, Lease
from dataqueue.domain.steps import NewStep, Step, StepOutcome
from dataqueue.storage.redis.cutting import in_pieces
from dataqueue.storage.redis.instants import micros
from dataqueue.storage.redis.rows import step_of, steps_of
from dataqueue.storage.redis.server import Server, Value
from dataqueue.storage.redis.tokens import tags_as_kept

_STORED: Final = "stored"


class RedisStepLog:
    """See `storage.port.StepLog`."""

    def __init__(self, server: Server, namespace: str) -> None:
        self._server, self._namespace = server, namespace

    async def of_jobs(self, job_ids: Sequence[UUID]) -> list[list[Step]]:
        # A script each: a log may be large.
        calls = [(self._namespace, (str(job_id),)) for job_id in job_ids]
        return [steps_of(log, int(now)) for now, log in await self._server.run_each("steps/of_job", calls)]

    async def save(self, steps: Sequence[tuple[Lease, NewStep]]) -> list[Step | None]:
        asked = [(str(lease.job_id), lease.invocation, *_told(step)) for lease, step in steps]
        answers: list[Step | None] = []
        for some in in_pieces(asked):
            now, *found = await self._server.run("steps/save", self._namespace, *chain.from_iterable(some))
            given = steps[len(answers) : len(answers) + len(some)]
            answers += [_answer(step, one, int(now)) for (_, step), one in zip(given, found, strict=True)]
        return answers


def _told(step: NewStep) -> tuple[Value, ...]:
    """A step as `lua/steps/save.lua` takes it."""
    token = step.token
    if token is None:
        return step.name, step.kind, step.value or NULL, "", ""
    timeout = "" if token.timeout is None else micros(token.timeout)
    return step.name, step.kind, str(token.id), timeout, tags_as_kept(token.tags)


def _answer(step: NewStep, found: str | None, now: int) -> Step | None:
    if found is None:
        return None
    if found != _STORED:
        return step_of(step.name, found, now)
    if step.token is None:
        return Step(name=step.name, kind=step.kind, outcome=StepOutcome.OK, value=step.value or NULL)
    value = Json(f'{{"id":"{step.token.id}"}}')
    return Step(name=step.name, kind=step.kind, outcome=StepOutcome.OK, value=value, token_id=step.token.id)
