"""What a migration did, heard from its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOGGER: Final = "alembic.runtime.migration"


class _Listener(logging.Handler):
    def __init__(self, taken: list[str]) -> None:
        super().__init__(logging.INFO)
        self._taken = taken

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Running "):
            self._taken.append(message.removeprefix("Running ").capitalize())


@contextmanager
def revisions_taken() -> Iterator[list[str]]:
    """A list that fills with the steps of the migrations inside the block."""
    logger, taken = logging.getLogger(_LOGGER), list[str]()
    listener, level = _Listener(taken), logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield taken
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
