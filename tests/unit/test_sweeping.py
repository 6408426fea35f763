"""Bulk changes, batch by batch, over a store that answers as it is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from dataqueue.domain.edit import JobEdit
from dataqueue.domain.filters import JobFilter, Position
from dataqueue.domain.job import Json
from dataqueue.domain.lifecycle import Verb
from dataqueue.storage.answers import Swept
from dataqueue.storage.port import JobStore
from dataqueue.sweeping import BulkChange, Kind, Sweeper

ALL = JobFilter()


def place(seq: int) -> Position:
    return Position(datetime(2030, 1, 1, tzinfo=UTC), seq)


class Store:
    """Answers these batches, and notes what it was asked."""

    def __init__(self, *batches: Swept) -> None:
        self._batches = list(batches)
        self.asked: list[tuple[Position | None, int, bool]] = []

    async def sweep(
        self, verb: Verb, matching: JobFilter, *, before: Position | None, limit: int, edit: Any, dry_run: bool
    ) -> Swept:
        self.asked.append((before, limit, dry_run))
        return self._batches.pop(0)


def sweeper(store: Store, told: list[tuple[Kind, set[str]]] | None = None) -> Sweeper:
    said = [] if told is None else told
    return Sweeper(cast(JobStore, store), announce=lambda kind, types: said.append((kind, types)))


async def test_each_batch_goes_on_where_the_one_before_ended_and_their_counts_add_up() -> None:
    store = Store(
        Swept(3, 2, frozenset(), place(30)), Swept(0, 0, frozenset(), place(20)), Swept(4, 4, frozenset(), None)
    )
    assert await sweeper(store).run(Verb.CANCEL, ALL) == BulkChange(7, 6)
    assert store.asked == [(None, 1000, False), (place(30), 1000, False), (place(20), 1000, False)]


@pytest.mark.parametrize(
    ("verb", "kinds"),
    [(Verb.CANCEL, ["cancel", "ended"]), (Verb.RETRY, ["ready"]), (Verb.EDIT, ["ready"]), (Verb.DELETE, [])],
)
async def test_each_batch_is_told_of_at_once_unless_nothing_changed(verb: Verb, kinds: list[Kind]) -> None:
    told: list[tuple[Kind, set[str]]] = []
    store = Store(
        Swept(1, 1, frozenset({"a"}), place(2)), Swept(1, 0, frozenset(), place(1)), Swept(1, 1, frozenset({"b"}), None)
    )
    await sweeper(store, told).run(verb, ALL)
    assert told == [(kind, {name}) for name in "ab" for kind in kinds]


async def test_it_stops_after_the_batch_under_way_and_says_so() -> None:
    store = Store(
        Swept(5, 5, frozenset(), place(9)), Swept(5, 5, frozenset(), place(4)), Swept(1, 1, frozenset(), None)
    )
    stops = iter([False, True])
    done = await sweeper(store).run(Verb.DELETE, ALL, is_stopped=lambda: next(stops))
    assert done == BulkChange(10, 10, is_whole=False)
    last = Store(Swept(1, 1, frozenset(), None))
    assert (await sweeper(last).run(Verb.DELETE, ALL, is_stopped=lambda: True)).is_whole


@pytest.mark.parametrize(
    ("edit", "limit"),
    [
        (JobEdit(priority=1), 1000),
        (JobEdit(payload=Json("1")), 1000),
        (JobEdit(payload=Json('"' + "x" * 4096 + '"')), 500),
        (JobEdit(payload=Json('"' + "x" * 262_142 + '"')), 15),
        (JobEdit(payload=Json('"' + "x" * 2**24 + '"')), 1),
    ],
    ids=["none", "small", "4 KiB", "256 KiB", "16 MiB"],
)
async def test_the_larger_a_payload_the_smaller_a_batch(edit: JobEdit, limit: int) -> None:
    store = Store(Swept(0, 0, frozenset(), None))
    await sweeper(store).run(Verb.EDIT, ALL, edit=edit, dry_run=True)
    assert store.asked == [(None, limit, True)]
