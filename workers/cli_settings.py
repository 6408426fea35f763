"""From options to settings: an option is its variable, said on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dataqueue.settings import Settings

    S = TypeVar("S", bound=Settings)


def settings_of(kind: type[S], **options: object) -> S:
    """The settings with these options over the variables. The variables are set too: child processes read them."""
    _forget_empty_variables()
    for name, value in options.items():
        if value is not None:
            os.environ[variable_of(name)] = str(value)
    return kind()


def _forget_empty_variables() -> None:
    """`make` exports a variable that nobody gave as an empty one, and so do compose files."""
    for name in [name for name, value in os.environ.items() if name.startswith("DATAQUEUE_") and not value]:
        del os.environ[name]


def variable_of(setting: str) -> str:
    return "DATAQUEUE_IMPORT" if setting == "imports" else f"DATAQUEUE_{setting.upper()}"


def joined(values: Sequence[str] | None) -> str | None:
    """A repeatable option as its variable has it: separated by commas. None when it was not given."""
    return ",".join(values) if values else None


def split(text: str | None) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in (text or "").split(",")) if name)
