"""An exception as the log tells it: where it came from and of what kind, and nothing it says."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Final

_MOST_CAUSES: Final = 10


def trace_of(error: BaseException) -> str:
    """The traceback, with those of its causes, and no message: a driver's repeats rows, a validator's its input."""
    return "\n".join(_told(error, depth=0))


def _told(error: BaseException, *, depth: int) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if depth == _MOST_CAUSES:
        return
    if cause is not None:
        yield from _told(cause, depth=depth + 1)
        yield "\nwhich led to:\n"
    yield "Traceback (most recent call last):"
    yield from (frame.rstrip("\n") for frame in traceback.format_tb(error.__traceback__))
    kind = type(error)
    state = getattr(error, "sqlstate", None)
    yield f"{kind.__module__}.{kind.__qualname__}" + (f" ({state})" if isinstance(state, str) else "")
    if isinstance(error, BaseExceptionGroup):
        for number, one in enumerate(error.exceptions[:_MOST_CAUSES], 1):
            yield f"\nits exception {number}:\n"
            yield from _told(one, depth=depth + 1)
