"""From pydantic's findings to ours: our own words for each, because pydantic's may quote the input."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.errors import MOST_ERRORS, Code, FieldError, Problem, faults, invalid

_CODES: Final = frozenset(Code)
# Pydantic makes a dictionary per finding; nobody reads the hundred-thousandth.
_WORTH_LISTING: Final = 1000
# Names that may be told back: a slip of the pen in a field's name, and nothing that could carry more.
_TELLABLE: Final = re.compile(r"[a-z][a-z0-9_]{0,40}(\[[a-z]{1,10}\])?", re.ASCII)
_MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be one of {expected}",
}
_LIMITS: Final = ("min_length", "max_length", "ge", "le", "expected")


def problem_from(
    error: ValidationError, *, at: Sequence[str | int], not_built: frozenset[str] = frozenset()
) -> Problem:
    """The 422 for a failed validation. `not_built`: names of the contract whose feature is still to come."""
    count = error.error_count()
    if count > _WORTH_LISTING:
        return invalid(at, f"has {count} faults")
    details = error.errors(include_url=False)
    return faults([_field_error(detail, tuple(at), not_built) for detail in details[:MOST_ERRORS]], total=count)


def _field_error(detail: ErrorDetails, at: tuple[str | int, ...], not_built: frozenset[str]) -> FieldError:
    kind, loc, context = detail["type"], detail["loc"], detail.get("ctx", {})
    place = at + tuple(part for part in loc if isinstance(part, int) or _TELLABLE.fullmatch(part))
    if kind == "json_invalid":
        return FieldError(at, f"is not valid JSON: {context['error']}", Code.INVALID_JSON)
    if kind == "extra_forbidden" and str(loc[-1]).partition("[")[0] in not_built:
        return FieldError(place, "is not available yet", Code.NOT_AVAILABLE)
    if at[0] == "body" and any(map(_cannot_be_json, (detail["input"], *loc))):
        return FieldError(place, "holds NUL, NaN or an infinite number", Code.INVALID_JSON)
    if kind in _CODES:
        return FieldError(place, detail["msg"], kind)
    message = _MESSAGES.get(kind, "is not valid")
    return FieldError(place, message.format(**{limit: context.get(limit) for limit in _LIMITS}))


def _cannot_be_json(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, str) and "\0" in value
