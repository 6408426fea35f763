"""JSON that a command is given: as an argument, in a file, or on stdin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.cli_errors import Refused


def json_in(argument: str, text: str) -> Any:
    """The value; `-` is stdin, `@FILE` a file. Refused names the argument."""
    import json

    if text == "-":
        text = _read(argument, "stdin", sys.stdin.buffer.read)
    elif text.startswith("@"):
        text = _read(argument, text[1:], Path(text[1:]).read_bytes)

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError as error:
        hint = "" if text[:1] in '{["' else "; a text needs its quotes, as in '\"hello\"'"
        raise Refused(f"{argument} must be JSON: {error}{hint}") from None
    except RecursionError:
        raise Refused(f"{argument} is nested too deep") from None


def _read(argument: str, name: str, read: Callable[[], bytes]) -> str:
    try:
        return read().decode()
    except OSError as error:
        raise Refused(f"{argument}: cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{argument}: {name} is not UTF-8") from None
