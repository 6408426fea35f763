"""A service with nothing to do leaves its database in peace."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.acceptance.notes import Notes
from tests.acceptance.processes import until
from tests.acceptance.services import Api, Worker
from tests.acceptance.ways import way_to

WATCHED: Final = 12.0
"""Seconds; the slowest of the loops comes round a few times."""


def test_an_idle_worker_sends_two_statements_a_second_at_most_and_an_idle_api_fewer(
    database: str, notes: Notes, place: Path
) -> None:
    with (
        way_to(database, place / "of-api") as of_api,
        way_to(database, place / "of-worker") as of_worker,
        Api(of_api.url, log=place / "api.log") as api,
        Worker(of_worker.url, notes) as worker,
    ):
        api.until_ready()
        worker.until_ready()
        # They have been at work: what they remember of it may not keep them busy.
        api.ended(api.enqueue("fine"))
        looks_after_work = time.monotonic() + 1
        until(lambda: time.monotonic() > looks_after_work, "an idle service")
        before = [len(way.statements) for way in (of_api, of_worker)]
        began = time.monotonic()
        until(lambda: time.monotonic() > began + WATCHED, "the end of the watch")
        by_api, by_worker = (way.statements[seen:] for way, seen in zip((of_api, of_worker), before, strict=True))
        seconds = time.monotonic() - began
    # Two more, for loops that came round at both ends of the watch.
    assert 0 < len(by_worker) <= 2 * seconds + 2, said(by_worker)
    assert 0 < len(by_api) <= 0.5 * seconds + 2, said(by_api)


def said(statements: list[str]) -> Counter[str]:
    """How often each was sent, by its first line."""
    return Counter(statement.strip().partition("\n")[0] for statement in statements)
