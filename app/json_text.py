"""A caller's value as JSON text that every backend stores and gives back equal (traps 2.5)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import PydanticCustomError, to_json

from app.errors import Code
from dataqueue.domain.job import Json

DEEPEST: Final = 64


def json_text(value: Any) -> Json:
    """The text of a parsed value. Refuses what PostgreSQL, or the next reader's parser, would not take."""
    text = to_json(value).decode()
    # Byte tests first: they are cheap, and a false alarm costs one walk.
    if "\\u0000" in text and any("\0" in string for string in _strings(value)):
        raise PydanticCustomError(Code.INVALID_JSON, "holds a NUL character, which cannot be stored")
    if ("NaN" in text or "Infinity" in text) and not all(map(math.isfinite, _floats(value))):
        raise PydanticCustomError(Code.INVALID_JSON, "holds a number that is not finite")
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise PydanticCustomError(Code.INVALID_JSON, f"is nested deeper than {DEEPEST} levels")
    return Json(text)


def _every(value: Any) -> Iterator[Any]:
    pending = [value]
    while pending:
        item = pending.pop()
        yield item
        if isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _strings(value: Any) -> Iterator[str]:
    return (item for item in _every(value) if isinstance(item, str))


def _floats(value: Any) -> Iterator[float]:
    return (item for item in _every(value) if isinstance(item, float))


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
