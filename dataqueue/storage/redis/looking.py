"""In which namespaces there may be something to do.

To ask each of thousands of namespaces for itself, a round trip after the other, would keep an idle worker busy. So they
are looked at together, and a script is run where it has something to do; it decides for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dataqueue.storage.redis.server import Server

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Looked:
    """The lowest score in each of some sorted sets, and what instant it was."""

    namespace: str
    now: int
    lowest: tuple[int | None, ...]


async def look_at(server: Server, namespaces: Sequence[str], *sets: str) -> list[Looked]:
    """A look at the same sorted sets of each namespace, many to a round trip."""
    looks: list[Looked] = []
    for first in range(0, len(namespaces), _AT_ONCE):
        names = namespaces[first : first + _AT_ONCE]
        answers = await server.run_each("upkeep/lowest", [(name, sets) for name in names])
        looks += [Looked(name, now, tuple(lowest)) for name, (now, *lowest) in zip(names, answers, strict=True)]
    return looks
