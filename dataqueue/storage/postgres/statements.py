"""The statements in `sql/`, one a file, named by noun and verb."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_SQL: Final = files(__package__) / "sql"
_INCLUDE: Final = re.compile(r"^-- include: (\S+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)
_PART: Final = re.compile(r"\$\$.*?\$\$|--[^\n]*|;", re.DOTALL)
_PARAMETER: Final = re.compile(r"(?<![\w:]):([a-z_]+)\b")


class Statement(NamedTuple):
    """What the driver takes: `$1`, `$2`, … in the text, and the names in that order."""

    sql: str
    names: tuple[str, ...]


def source_of(name: str) -> str:
    """The text of `sql/<name>.sql` with what it includes, without comments."""
    raw = (_SQL / f"{name}.sql").read_text()
    return _COMMENT.sub("", _INCLUDE.sub(lambda match: source_of(match[1].removesuffix(".sql")), raw)).strip()


@cache
def statement(name: str) -> Statement:
    """The statement of a file."""
    return numbered(source_of(name))


def numbered(sql: str) -> Statement:
    """A statement from one with named parameters (`:name`)."""
    names: dict[str, int] = {}
    return Statement(_PARAMETER.sub(lambda match: f"${names.setdefault(match[1], len(names) + 1)}", sql), tuple(names))


def split_script(script: str) -> list[str]:
    """The statements of a script of definitions, without comments; what stands inside `$$` is left as it is."""
    found, current, end = [], "", 0
    for part in _PART.finditer(script):
        current += script[end : part.start()]
        end = part.end()
        if part[0].startswith("$$"):
            current += part[0]
        elif part[0] == ";":
            found.append(current.strip())
            current = ""
    return [statement for statement in [*found, (current + script[end:]).strip()] if statement]
