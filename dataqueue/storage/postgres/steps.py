"""The step logs of one namespace's jobs in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from dataqueue.domain.job import NULL, Json, Lease
from dataqueue.domain.steps import NewStep, Step, StepOutcome
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.enqueue import array_of
from dataqueue.storage.postgres.namespaces import Namespaces
from dataqueue.storage.postgres.rows import step_of


class PostgresStepLog:
    """See `storage.port.StepLog`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace

    async def of_jobs(self, job_ids: Sequence[UUID]) -> list[list[Step]]:
        namespace_id = await self._namespaces.id_of(self._namespace)
        logs = defaultdict[UUID, list[Step]](list)
        for row in await self._database.run("steps/of_jobs", ids=list(job_ids), namespace_id=namespace_id):
            logs[row.job_id].append(step_of(row))
        return [logs[job_id] for job_id in job_ids]

    async def save(self, steps: Sequence[tuple[Lease, NewStep]]) -> list[Step | None]:
        tokens = [step.token for _, step in steps]
        rows = await self._database.run(
            "steps/save",
            namespace_id=await self._namespaces.id_of(self._namespace),
            ids=[lease.job_id for lease, _ in steps],
            invocations=[lease.invocation for lease, _ in steps],
            names=[step.name for _, step in steps],
            values=[step.value for _, step in steps],
            token_ids=[None if token is None else token.id for token in tokens],
            timeouts=[
                None if token is None or token.timeout is None else token.timeout.total_seconds() for token in tokens
            ],
            tags=[None if token is None else array_of(token.tags) for token in tokens],
        )
        answers: list[Step | None] = [None] * len(steps)
        taken: list[int] = []
        for row in rows:
            if row.is_stored:
                answers[row.place - 1] = _as_stored(steps[row.place - 1][1])
            elif row.is_held:
                taken.append(row.place - 1)
        if taken:
            found = await self._find([(steps[place][0].job_id, steps[place][1].name) for place in taken])
            for place in taken:
                lease, step = steps[place]
                answers[place] = found.get((lease.job_id, step.name))
        return answers

    async def _find(self, names: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], Step]:
        rows = await self._database.run(
            "steps/find", ids=[job_id for job_id, _ in names], names=[name for _, name in names]
        )
        return {(row.job_id, row.name): step_of(row) for row in rows}


def _as_stored(step: NewStep) -> Step:
    if step.token is None:
        value, token_id = step.value or NULL, None
    else:
        value, token_id = Json(f'{{"id":"{step.token.id}"}}'), step.token.id
    return Step(name=step.name, kind=step.kind, outcome=StepOutcome.OK, value=value, token_id=token_id)
