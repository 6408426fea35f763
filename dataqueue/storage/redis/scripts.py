"""The scripts in `lua/`, one a file, named by noun and verb."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_LUA: Final = files(__package__) / "lua"
_INCLUDE: Final = re.compile(r"^-- include: (\S+)\n", re.MULTILINE)


class Script(NamedTuple):
    """What is run, and the name by which the server knows it once it has seen it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of a file, with what it includes, each once and before what asks for it."""
    source = _with_includes(f"{name}.lua", set())
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _with_includes(path: str, seen: set[str]) -> str:
    def included(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return _with_includes(match[1], seen)

    return _INCLUDE.sub(included, (_LUA / path).read_text())
