"""The statements in `sql/`, one a file, named by noun and verb."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_SQL: Final = files(__package__) / "sql"
_INCLUDE: Final = re.compile(r"^-- include: (\S+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)
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
    """The statements of a script of definitions; a semicolon inside `$$` ends none."""
    parts = re.split(r"(\$\$.*?\$\$)|;", _COMMENT.sub("", script), flags=re.DOTALL)
    found, current = [], ""
    for position, part in enumerate(parts):
        is_separator = position % 2 == 1 and part is None
        if is_separator:
            found.append(current.strip())
            current = ""
        else:
            current += part or ""
    return [statement for statement in [*found, current.strip()] if statement]
