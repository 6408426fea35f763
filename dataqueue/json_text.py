"""A value as JSON text that every storage takes and gives back equal."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic_core import from_json, to_json, to_jsonable_python

from dataqueue.domain.job import Json
from dataqueue.domain.limits import DEEPEST_JSON

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


class Unstorable(ValueError):
    """What no storage could give back equal. The message is fit to follow the name of a field."""


def json_text(value: Any) -> Json:
    """The text of a value, of whatever pydantic can write: models and dataclasses too. Raises Unstorable."""
    text = strict_json(value)
    check_depth(text)
    return Json(text.decode())


def strict_json(value: Any) -> bytes:
    """The text in UTF-8, of any depth, without what JSON or a storage has no place for. Raises Unstorable."""
    try:
        text = to_json(value)
        # A model writes NaN as null, which is not what it was given.
        written = to_json(to_jsonable_python(value)) if b"null" in text else text
    # A serializer of the author's may raise anything.
    except Exception as error:
        raise Unstorable(f"cannot be JSON: {_first_line(error)}") from error
    check_values(written)
    return text


def check_values(text: bytes) -> None:
    """Raises Unstorable for a NUL character, and for NaN and Infinity, which a serializer may have left."""
    # Byte tests first: they are cheap, and a false alarm costs one look.
    if b"\\u0000" in text and _NUL.search(text):
        raise Unstorable("holds a NUL character, which cannot be stored")
    if b"NaN" in text or b"Infinity" in text:
        try:
            from_json(text, allow_inf_nan=False)
        except ValueError:
            raise Unstorable("holds a number that is not finite") from None


def check_depth(text: bytes) -> None:
    """Raises Unstorable for what is nested too deep for others to read."""
    if text.count(b"[") + text.count(b"{") > DEEPEST_JSON and _depth(text) > DEEPEST_JSON:
        raise Unstorable(f"is nested deeper than {DEEPEST_JSON} levels")


def _depth(text: bytes) -> int:
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:500]
