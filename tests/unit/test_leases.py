"""A worker believes in a lease a little shorter than it is."""

from __future__ import annotations

import time

import pytest

from dataqueue.processing.heartbeat import Watch
from dataqueue.processing.leases import Held, LeaseTable, Stop
from tests.unit.claimed import a_claimed_job


@pytest.mark.parametrize(("lease", "believed"), [(3, 2), (30, 27), (300, 270)])
def test_the_margin_is_a_tenth_and_at_least_a_second(lease: float, believed: float) -> None:
    assert LeaseTable(lease=lease).believed == believed


def taken(table: LeaseTable, *, age: float = 0) -> Held:
    [held] = table.take([a_claimed_job()], sent=time.monotonic() - age)
    return held


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    table = LeaseTable(lease=30)
    sent = time.monotonic() - 5
    [held] = table.take([a_claimed_job()], sent=sent)
    assert held.deadline == sent + 27
    table.renew([held], sent=sent + 10)
    assert held.deadline == sent + 37


def test_an_answer_that_was_overtaken_shortens_nothing() -> None:
    table = LeaseTable(lease=30)
    held = taken(table)
    before = held.deadline
    table.renew([held], sent=time.monotonic() - 100)
    assert held.deadline == before


def test_a_handler_is_told_to_stop_when_its_deadline_has_passed_and_once() -> None:
    table = LeaseTable(lease=30)
    told: list[Held] = []
    watch = Watch(table=table, told=told.append)
    good, overdue = taken(table), taken(table, age=28)
    assert (watch.tick(), told) == (1, [overdue])
    assert (overdue.stop, overdue.cancelled, good.cancelled) == (Stop.LOST, True, False)
    assert watch.tick() == 0
    assert len(table) == 1


def test_a_settled_job_is_not_told_anything() -> None:
    table = LeaseTable(lease=30)
    held = taken(table, age=28)
    held.settled = True
    assert not table.tell(held, Stop.LOST)
    assert table.overdue() == []
    assert not held.cancelled


def test_the_first_word_counts() -> None:
    table = LeaseTable(lease=30)
    held = taken(table)
    assert table.tell(held, Stop.TIMED_OUT)
    assert not table.tell(held, Stop.LOST)
    assert held.stop is Stop.TIMED_OUT


def test_running_jobs_are_renewed_and_settled_ones_only_when_their_report_is_late() -> None:
    table = LeaseTable(lease=30)
    running, reported, late = taken(table), taken(table), taken(table, age=20)
    reported.settled = late.settled = True
    assert set(table.to_renew()) == {running, late}
    table.drop([running, late])
    assert table.to_renew() == []


def test_the_next_look_is_at_the_earliest_deadline_and_never_far_away() -> None:
    table = LeaseTable(lease=30)
    assert table.next_look() == 27 / 4
    held = taken(table, age=25)
    assert 1.5 < table.next_look() <= 2
    held.settled = True
    assert table.next_look() == 27 / 4
    taken(table, age=100)
    assert table.next_look() == 0
