"""An edit as the parameters of `lib/edited`."""

from __future__ import annotations

from typing import Any, Final

import orjson

from dataqueue.domain.edit import UNSET, JobEdit

_OPTIONS: Final = (
    "timeout_ms",
    "retry_delay",
    "retry_backoff",
    "retry_delay_max",
    "dead_letter_job_type",
    "force_kill_on_timeout",
)
_KNOWN_LATER: Final = frozenset({"run_at", "delay", "max_attempts"})
"""Their values are read off the row: the storage's clock and the type's settings decide."""
_CLEARED: Final[dict[str, object]] = {"priority": 0, "tags": (), "force_kill_on_timeout": False}


def parameters_of(edit: JobEdit) -> dict[str, object]:
    """What an edit sets; None where it leaves things as they are, or where a flag beside it says that it does not."""
    given = dict(edit.given())
    delay = given.get("delay")
    options = {name: given[name] for name in _OPTIONS if name in given}
    return {
        "new_payload": given.get("payload"),
        "new_rank": None if "priority" not in given else -(given["priority"] or 0),
        "new_tags": None if "tags" not in given else list(given["tags"] or ()),
        "new_options": orjson.dumps(options).decode() if options else None,
        "moves": "run_at" in given or "delay" in given,
        "new_run_at": given.get("run_at"),
        "new_delay": None if delay is None else delay.total_seconds(),
        "limits_attempts": edit.max_attempts is not UNSET,
        "new_max_attempts": given.get("max_attempts"),
        "changes": _changes(given),
    }


def _changes(given: dict[str, Any]) -> str | None:
    """The members of `changes` in the event; a payload as the very text it is kept in."""
    changes = []
    for name, value in given.items():
        if name not in _KNOWN_LATER:
            shown = _CLEARED.get(name) if value is None else value
            changes.append(f'"{name}":{value if name == "payload" else orjson.dumps(shown).decode()}')
    return ",".join(changes) or None
