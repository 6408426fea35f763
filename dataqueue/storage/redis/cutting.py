"""Cutting what is asked for into what one script does: it keeps everybody else waiting meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dataqueue.storage.redis.server import Value

AT_ONCE: Final = 50
"""Jobs that one script moves, or steps it stores: 1 ms, and up to 4 behind a million jobs."""
_MOST_VALUES: Final = 500
_LARGEST: Final = 1 << 20


def in_pieces(items: Sequence[Sequence[Value]]) -> Iterator[Sequence[Sequence[Value]]]:
    """The values of some items at a time: of at most `AT_ONCE`, `_MOST_VALUES` and a mebibyte of text; or of one that
    has more of either."""
    first = many = size = 0
    for place, item in enumerate(items):
        length = sum(len(value) for value in item if isinstance(value, str))
        is_full = place - first == AT_ONCE or many + len(item) > _MOST_VALUES or size + length > _LARGEST
        if is_full and place > first:
            yield items[first:place]
            first, many, size = place, 0, 0
        many, size = many + len(item), size + length
    if first < len(items):
        yield items[first:]
