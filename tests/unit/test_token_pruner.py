"""When ended tokens are looked for, and for how long they are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from dataqueue.maintenance import LOOK_FOR_OLD, TokenPruner
from dataqueue.settings import WorkerSettings
from dataqueue.storage.port import Upkeep


class Spent:
    """Tokens whose time is up."""

    def __init__(self, count: int) -> None:
        self.count, self.kept = count, set[timedelta]()

    async def prune_tokens(self, *, keep: timedelta, limit: int, namespace: str | None = None) -> int:
        assert namespace is None
        self.kept.add(keep)
        removed = min(limit, self.count)
        self.count -= removed
        return removed


async def test_it_looks_every_hour_or_so_and_goes_on_while_there_are_more() -> None:
    spent = Spent(5)
    pruner = TokenPruner(upkeep=cast(Upkeep, spent), keep=timedelta(days=30), batch=2)
    pauses = [await pruner.tick() for _ in range(3)]
    assert all(pause < 1 for pause in pauses[:2])
    assert LOOK_FOR_OLD * 0.8 <= pauses[2] <= LOOK_FOR_OLD * 1.2
    assert (spent.count, spent.kept) == (0, {timedelta(days=30)})


def test_they_are_kept_for_as_long_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorkerSettings().keep_tokens == timedelta(days=30)
    monkeypatch.setenv("DATAQUEUE_KEEP_TOKENS", "36h")
    assert WorkerSettings().keep_tokens == timedelta(hours=36)
