"""A server's own log, in its data folder: kept short, and read when it does not start."""

from pathlib import Path
from typing import Final

LOG: Final = "server.log"
LONGEST_LOG: Final = 1 << 20
_LINES: Final = 15


def shorten_log(data: Path) -> None:
    """Set a log that has grown long aside, in the place of the one before."""
    log = data / LOG
    if log.exists() and log.stat().st_size > LONGEST_LOG:
        log.replace(log.with_suffix(".log.old"))


def log_end(data: Path) -> str:
    """The log's last lines."""
    try:
        lines = (data / LOG).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(there is no log)"
    return "\n".join(lines[-_LINES:])
