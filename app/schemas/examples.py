"""Examples for the document: one job, told the same way everywhere."""

from __future__ import annotations

import json
from typing import Final

from pydantic.config import JsonDict

ID: Final = "01936b2e-7c4a-7d3f-9b1c-5f0e8a2d4c61"
TOKEN_ID: Final = "01936b2e-8f10-7c52-8d44-3b6f1e9a7c05"
CURSOR: Final = "AAAAAAAAAlwYk0pV2m7QJ1nX"

REQUEST: Final[JsonDict] = {
    "job_type": "email.send",
    "payload": {"to": "ada@example.com", "template": "welcome"},
    "tags": ["customer:42"],
    "idempotency_key": "welcome-42",
}
BATCH: Final[JsonDict] = {"jobs": [REQUEST, {"job_type": "report.build", "delay": "10m"}]}
ENQUEUED: Final[JsonDict] = {"id": ID, "status": "pending", "created": True}
BATCH_ENQUEUED: Final[JsonDict] = {"jobs": [ENQUEUED]}
JOB: Final[JsonDict] = {
    "id": ID,
    "namespace": "default",
    "job_type": "email.send",
    "payload": {"to": "ada@example.com", "template": "welcome"},
    "status": "completed",
    "priority": 0,
    "run_at": "2026-11-24T01:02:03.000004Z",
    "tags": ["customer:42"],
    "idempotency_key": "welcome-42",
    "attempts": 1,
    "max_attempts": 3,
    "crashes": 0,
    "timeout_ms": None,
    "force_kill_on_timeout": False,
    "retry_delay": None,
    "retry_backoff": None,
    "retry_delay_max": None,
    "dead_letter_job_type": None,
    "dead_letter_job_id": None,
    "dead_lettered_at": None,
    "group": None,
    "depends_on": None,
    "cron_id": None,
    "progress": 100,
    "output": {"message_id": "m-17"},
    "steps": {"render": {"ok": {"subject": "Welcome, Ada"}}},
    "error_history": [],
    "failure_reason": None,
    "pending_reason": None,
    "wait_until": None,
    "wait_token_id": None,
    "next_attempt_at": None,
    "locked_by": None,
    "locked_at": None,
    "lease_expires_at": None,
    "cancel_requested": False,
    "created_at": "2026-11-24T01:02:03.000004Z",
    "updated_at": "2026-11-24T01:02:03.120000Z",
    "started_at": "2026-11-24T01:02:03.008000Z",
    "completed_at": "2026-11-24T01:02:03.120000Z",
    "last_retried_at": None,
    "last_failed_at": None,
    "last_cancelled_at": None,
}
JOBS: Final[JsonDict] = {"data": [JOB], "next_cursor": CURSOR}
EDIT: Final[JsonDict] = {"priority": 10, "run_at": None, "tags": ["customer:42", "urgent"]}
FILTER: Final[JsonDict] = {"status": "pending", "tags": ["customer:42"], "created_at": {"lt": "2026-11-24T00:00:00Z"}}
BULK: Final[JsonDict] = {"filter": FILTER, "dry_run": True}
BULK_EDIT: Final[JsonDict] = {"filter": {"job_type": ["email.send", "email.digest"]}, "updates": {"delay": "1h"}}
BULK_CHANGED: Final[JsonDict] = {"matched": 1204, "changed": 1204}
EVENT: Final[JsonDict] = {
    "id": "604",
    "event": "job:completed",
    "job_id": ID,
    "job_type": "email.send",
    "tags": ["customer:42"],
    "at": "2026-11-24T01:02:03.120000Z",
    "attempt": 1,
}
EVENTS: Final[JsonDict] = {"data": [EVENT], "next_cursor": None}
STREAM: Final = f"event: job:completed\ndata: {json.dumps(EVENT, separators=(',', ':'))}\nid: 604\n\n"
TICKET: Final[JsonDict] = {
    "ticket": "dqt_Zq0kq3mJ7b1r0m3zq8vQ2f5cYb7m1W3nJx9L0aT4sUo", "expires_at": "2026-11-24T01:03:03.120000Z"
}  # fmt: skip
TOKEN_REQUEST: Final[JsonDict] = {"timeout": "48h", "tags": ["order:17"]}
TOKEN: Final[JsonDict] = {
    "id": TOKEN_ID,
    "status": "completed",
    "tags": ["order:17"],
    "job_id": None,
    "name": None,
    "output": {"approved_by": "grace"},
    "timeout_at": "2026-11-26T01:02:03.000004Z",
    "created_at": "2026-11-24T01:02:03.000004Z",
    "completed_at": "2026-11-24T09:30:00.000000Z",
    "expired_at": None,
}
TOKENS: Final[JsonDict] = {"data": [TOKEN], "next_cursor": CURSOR}
TOKEN_CREATED: Final[JsonDict] = {
    **TOKEN,
    "status": "waiting",
    "output": None,
    "completed_at": None,
    "callback_url": f"https://queue.example.com/v1/tokens/{TOKEN_ID}/callback?namespace=default"
    "&signature=mW8Wq0mXcVfPT0yT6m1Q2sJ6kQ0bLr3d9o7vXn5a1hE",
}
CALLED_BACK: Final[JsonDict] = {"id": TOKEN_ID, "status": "completed"}
OUTPUT: Final[JsonDict] = {"approved_by": "grace"}
EXPIRED: Final[JsonDict] = {"expired": 3}
IMPORTED: Final[list[JsonDict]] = [
    {"line": 1, "id": ID, "created": True},
    {"line": 2, "error": {"code": "validation_failed", "detail": "body.job_type: is required"}},
    {"summary": {"lines": 2, "created": 1, "existing": 0, "rejected": 1}},
]
HEALTH: Final[JsonDict] = {"status": "ok"}
READY: Final[JsonDict] = {"status": "ok", "warnings": []}


def ndjson(*lines: JsonDict) -> str:
    """Lines of JSON."""
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def shown(example: JsonDict) -> JsonDict:
    """For a model's `json_schema_extra`."""
    return {"examples": [example]}
