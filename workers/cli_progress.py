"""How far long work has got: on stderr, for people, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


@contextmanager
def progress(what: str, *, total: int | None = None, in_bytes: bool = False) -> Iterator[Advance]:
    """A bar, or, when nobody knows the total, a sign that something goes on. Takes how much more has been done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    amount = [DownloadColumn() if in_bytes else MofNCompleteColumn()] if total is not None or in_bytes else []
    measured = [BarColumn(), TimeRemainingColumn()] if total is not None else [SpinnerColumn(), TimeElapsedColumn()]
    # What is printed meanwhile goes above the bar, where both are on one terminal; else it stays where it belongs.
    with Progress(
        TextColumn("{task.description}", markup=False),
        *measured,
        *amount,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
