"""How our own processes are started: with this interpreter, and never with a stranger's module of our name."""

from __future__ import annotations

import sys


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """The command of `python -m module` that does not put the working directory before our packages (-P)."""
    return (sys.executable, "-P", "-m", module, *arguments)
