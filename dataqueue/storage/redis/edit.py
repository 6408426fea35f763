"""An edit as the arguments of `lua/lib/editing.lua`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from dataqueue.domain.edit import UNSET, JobEdit
from dataqueue.storage.redis.instants import micros, micros_at
from dataqueue.storage.redis.server import Value

_KEPT_AS: Final = {
    "timeout_ms": "timeout_ms",
    "retry_delay": "retry_delay",
    "retry_backoff": "retry_backoff",
    "retry_delay_max": "retry_delay_max",
    "dead_letter_job_type": "dead_type",
    "force_kill_on_timeout": "force_kill",
}
_LEFT_OUT_WHERE_FALSE: Final = frozenset({"force_kill_on_timeout"})
_KNOWN_LATER: Final = frozenset({"run_at", "delay", "max_attempts"})
"""Their values are read off the job: the storage's clock and the type's settings decide."""
_CLEARED: Final[dict[str, object]] = {"priority": 0, "tags": (), "force_kill_on_timeout": False}


def arguments_of(edit: JobEdit) -> tuple[Value, ...]:
    """What an edit sets, in the order of the script."""
    given = dict(edit.given())
    moves, by = _move(given)
    others = list(_others(given))
    return (
        given.get("payload", ""),
        "" if "priority" not in given else -(given["priority"] or 0),
        "" if "tags" not in given else orjson.dumps(given["tags"] or ()).decode(),
        moves,
        by,
        "" if edit.max_attempts is UNSET else "yes",
        given.get("max_attempts") or "",
        ",".join(_changes(given)),
        len(others) // 2,
        *others,
    )


def _move(given: dict[str, Any]) -> tuple[str, Value]:
    if given.get("run_at") is not None:
        return "at", micros_at(given["run_at"])
    if given.get("delay") is not None:
        return "in", micros(given["delay"])
    return ("in" if "run_at" in given or "delay" in given else ""), ""


def _others(given: dict[str, Any]) -> Iterator[Value]:
    for name, kept_as in _KEPT_AS.items():
        if name in given:
            yield kept_as
            yield _text_of(given[name] or None if name in _LEFT_OUT_WHERE_FALSE else given[name])


def _text_of(value: object) -> Value:
    match value:
        case None:
            return ""
        case bool():
            return int(value)
        case float():
            return repr(value)
        case _:
            return str(value)


def _changes(given: dict[str, Any]) -> Iterator[str]:
    """The members of `changes` in the event; a payload as the very text it is kept in."""
    for name, value in given.items():
        if name not in _KNOWN_LATER:
            shown = _CLEARED.get(name) if value is None else value
            yield f'"{name}":{value if name == "payload" else orjson.dumps(shown).decode()}'
