"""Waiting longer with every failure, and never all at the same moment."""

from __future__ import annotations

import pytest

from dataqueue.processing.backoff import FIRST, Backoff


def test_the_ceiling_doubles_up_to_the_longest() -> None:
    backoff = Backoff(longest=5, draw=lambda: 1)
    assert [backoff.next() for _ in range(7)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])


def test_the_jitter_is_the_whole_way_from_the_first_pause() -> None:
    draws = iter([0.0, 0.5, 0.25])
    backoff = Backoff(longest=5, draw=lambda: next(draws))
    assert [backoff.next() for _ in range(3)] == pytest.approx([FIRST, 0.25, 0.275])


def test_a_success_starts_over() -> None:
    backoff = Backoff(draw=lambda: 1)
    assert [backoff.next(), backoff.next(), backoff.failures] == pytest.approx([0.2, 0.4, 2])
    backoff.reset()
    assert [backoff.next(), backoff.failures] == pytest.approx([0.2, 1])


def test_a_ceiling_below_the_first_pause_is_no_ceiling() -> None:
    assert Backoff(longest=0.01, draw=lambda: 1).next() == FIRST


def test_an_endless_outage_overflows_nothing() -> None:
    backoff = Backoff(longest=5, draw=lambda: 1)
    assert {round(backoff.next(), 6) for _ in range(2000)} == {0.2, 0.4, 0.8, 1.6, 3.2, 5.0}
