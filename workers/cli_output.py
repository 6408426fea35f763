"""What commands print: tables for people, tab-separated lines for other programs, JSON when it is asked for.

Texts that a job carries are somebody's: none of their control characters reaches a terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
_BLOCK: Final = 500
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "processing": "cyan",
    "waiting": "magenta",
}


class Column(NamedTuple):
    """A column: what it shows of an item. `whole`: never cut off, because it is there to be copied, or is short."""

    title: str
    of: Callable[[Any], object]
    whole: bool = False


class Output:
    """Says what came of a command, on stdout; `note` is for people, on stderr. Only a list is not said at once."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.for_people = not as_json and sys.stdout.isatty()

    def rows(self, columns: Sequence[Column], items: Iterable[Mapping[str, Any]], *, none: str) -> None:
        """A list, as it comes; `none` says to people that it is empty."""
        if self.as_json:
            for item in items:
                print(json_of(item))
        elif self.for_people:
            shown = 0
            for block in _blocks(items):
                shown += len(block)
                _print(_table(columns, block))
            if not shown:
                self.note(none)
        else:
            for item in items:
                print(_line(column.of(item) for column in columns))

    def document(self, document: Mapping[str, Any], *, shown: Mapping[str, object] | None = None) -> None:
        """One thing: all of it as JSON, or `shown`, else all of it, a line for each field."""
        if self.as_json:
            print(json_of(document), flush=True)
            return
        fields = document if shown is None else shown
        if self.for_people:
            _print_fields({name: value for name, value in fields.items() if value not in _EMPTY})
        else:
            for name, value in fields.items():
                self.line(name, value)

    def line(self, *values: object) -> None:
        """Some values: a tab-separated line."""
        print(_line(values), flush=True)

    def note(self, sentence: str) -> None:
        print(plain(sentence), file=sys.stderr)


_EMPTY: Final[tuple[object, ...]] = (None, [], {}, "")


def json_of(value: object) -> str:
    """Compact JSON, in ASCII where the terminal knows nothing else, and without raw control characters."""
    is_ascii = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(value, ensure_ascii=is_ascii, separators=(",", ":"))
    # They can only stand in texts, where this is the same character.
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(value: object) -> str:
    """A value on one line: text as it is, lists and the like as JSON, nothing as nothing."""
    match value:
        case None:
            return ""
        case str():
            return _CONTROL.sub(_escaped, value)
        case _:
            return json_of(value)


def moment(instant: str | None) -> str:
    """An instant for people: to the second."""
    return "" if instant is None else f"{instant[:10]} {instant[11:19]}Z"


def _line(values: Iterable[object]) -> str:
    return "\t".join(map(plain, values))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()


def _blocks(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while block := list(islice(left, _BLOCK)):
        yield block


def _table(columns: Sequence[Column], items: Sequence[Mapping[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    rows = [[plain(column.of(item)) for column in columns] for item in items]
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        width = max(map(len, (column.title, *cells))) if column.whole else None
        table.add_column(column.title, no_wrap=True, overflow="ellipsis", min_width=width)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
    return table


def _print_fields(fields: Mapping[str, object]) -> None:
    """Values are there to be copied: the terminal may break a line, we do not."""
    from rich.console import Console
    from rich.text import Text

    console, width = Console(highlight=False), max(map(len, fields), default=0)
    for name, value in fields.items():
        cell = plain(value)
        console.print(Text.assemble((f"{name:{width}}", "bold"), "  ", (cell, _STYLES.get(cell, ""))), soft_wrap=True)


def _print(table: Table) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=False).print(table)
