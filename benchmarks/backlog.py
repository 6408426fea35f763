"""A backlog that a claim has to see past: jobs of other types, scheduled ones, finished ones."""

from __future__ import annotations

from typing import Final

import asyncpg

_CHUNK: Final = 250_000
_KINDS: Final = {
    # kind: (status, pending_reason, run_at, wake_at, ended_at, job type)
    "other_type": ("'pending'", "null", "now()", "null", "null", "backlog_other"),
    "scheduled": (
        "'pending'",
        "'scheduled'",
        "now() + interval '30 days'",
        "now() + interval '30 days'",
        "null",
        "noop",
    ),
    "completed": ("'completed'", "null", "now() - interval '1 hour'", "null", "now()", "noop"),
}


async def fill(connection: asyncpg.Connection, *, rows_each: int) -> None:
    """Put `rows_each` jobs of each kind into the default namespace, as enqueueing them would have."""
    for job_type in ("noop", "backlog_other"):
        await connection.execute(
            "insert into dataqueue.job_type (namespace_id, name) values (1, $1) on conflict do nothing",
            job_type,
        )
    for status, reason, run_at, wake_at, ended_at, job_type in _KINDS.values():
        for start in range(0, rows_each, _CHUNK):
            await connection.execute(
                f"""
                with made as (
                    insert into dataqueue.job (id, namespace_id, job_type_id, status, pending_reason, run_at, wake_at,
                        ended_at, updated_at, created_at)
                    select dataqueue.uuid7(), 1, t.id, {status}, {reason}, {run_at}, {wake_at}, {ended_at}, now(), now()
                    from generate_series(1, {min(_CHUNK, rows_each - start)}), dataqueue.job_type t
                    where t.name = '{job_type}'
                    returning id, seq, job_type_id, created_at
                )
                insert into dataqueue.job_spec (id, namespace_id, job_type_id, seq, payload, created_at)
                select id, 1, job_type_id, seq, '{{}}', created_at from made
                """
            )
    await connection.execute("vacuum analyze dataqueue.job, dataqueue.job_spec")
