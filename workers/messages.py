"""What a worker and the process of an isolated job write to each other: a JSON text a line."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import TypeAdapter

from dataqueue.domain.job import ClaimedJob
from dataqueue.outcome import Completed, Crashed, Failed, Gone, Outcome, Released

STARTED: Final = b"started\n"
"""The handlers are loaded, and the job's own time begins."""

_JOB: Final = TypeAdapter(ClaimedJob)
_OUTCOMES: Final[dict[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Completed, Failed, Released, Crashed, Gone)
}


def job_to_line(job: ClaimedJob) -> bytes:
    return _JOB.dump_json(job) + b"\n"


def job_from_line(line: bytes) -> ClaimedJob:
    return _JOB.validate_json(line)


def outcome_to_line(outcome: Outcome) -> bytes:
    kind = type(outcome).__name__
    return json.dumps([kind, _OUTCOMES[kind].dump_python(outcome, mode="json")]).encode() + b"\n"


def outcome_from_line(line: bytes) -> Outcome:
    kind, fields = json.loads(line)
    # Strings stand for durations, as in any JSON.
    outcome: Outcome = _OUTCOMES[kind].validate_python(fields)
    return outcome
