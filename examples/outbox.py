"""Where the examples leave what they make: `$DATAQUEUE_HOME/outbox`, or `./outbox`."""

from __future__ import annotations

import os
from pathlib import Path


def keep(name: str, content: bytes) -> Path:
    """Write a file whole or not at all: a worker that dies in between leaves no half of it under this name."""
    home = os.environ.get("DATAQUEUE_HOME")
    folder = (Path(home).expanduser() if home else Path.cwd()) / "outbox"
    folder.mkdir(parents=True, exist_ok=True)
    target, draft = folder / name, folder / f".{name}.{os.getpid()}"
    draft.write_bytes(content)
    return draft.replace(target)
