"""When a failed attempt is tried again: every branch of the formula."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.domain.retry import LONGEST_DELAY, RetryPolicy

LEAST: Final = 0.0
MOST: Final = 1.0 - 2**-53
A_YEAR: Final = timedelta(days=365)


def seconds_after(policy: RetryPolicy, attempt: int, *, draw: float) -> float:
    return policy.delay_after(attempt, draw=lambda: draw).total_seconds()


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 120), (2, 240), (3, 480), (10, 61_440)])
@pytest.mark.parametrize("draw", [LEAST, 0.5, MOST])
def test_without_any_field_it_is_a_minute_doubled_for_each_attempt_and_no_jitter(
    attempt: int, seconds: float, draw: float
) -> None:
    assert seconds_after(RetryPolicy(), attempt, draw=draw) == seconds


@pytest.mark.parametrize(
    ("policy", "base"),
    [
        (RetryPolicy(delay=10), 10),
        (RetryPolicy(delay=0.25), 0.25),
        (RetryPolicy(delay=10, backoff=True), 10),
        (RetryPolicy(backoff=True), 60),
        (RetryPolicy(delay_max=1e9), 60),
        (RetryPolicy(backoff=True, delay_max=1e9), 60),
    ],
    ids=str,
)
@pytest.mark.parametrize(("draw", "jitter"), [(LEAST, 0.5), (0.5, 0.75), (0.25, 0.625)])
@pytest.mark.parametrize("attempt", [1, 2, 3, 7])
def test_with_backoff_it_doubles_for_each_attempt_times_the_jitter(
    policy: RetryPolicy, base: float, draw: float, jitter: float, attempt: int
) -> None:
    assert seconds_after(policy, attempt, draw=draw) == pytest.approx(base * 2**attempt * jitter, abs=1e-6)


def test_the_jitter_never_reaches_the_whole_delay() -> None:
    assert seconds_after(RetryPolicy(delay=3600), 1, draw=MOST) <= 7200
    assert seconds_after(RetryPolicy(delay=3600), 1, draw=0.999) < 7200


@pytest.mark.parametrize(("most", "seconds"), [(15, 15), (20.5, 20), (0, 0), (0.5, 0.5)])
def test_backoff_stops_at_the_longest_delay_that_was_asked_for(most: float, seconds: float) -> None:
    assert seconds_after(RetryPolicy(delay=10, delay_max=most), 2, draw=LEAST) == seconds
    assert seconds_after(RetryPolicy(delay=10, backoff=True, delay_max=most), 1, draw=LEAST) == min(most, 10)


@pytest.mark.parametrize("attempt", [1, 2, 50])
@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (RetryPolicy(delay=10, backoff=False), 10),
        (RetryPolicy(delay=0, backoff=False), 0),
        (RetryPolicy(delay=0.125, backoff=False), 0.125),
        (RetryPolicy(backoff=False), 60),
        (RetryPolicy(delay=10, backoff=False, delay_max=5), 10),
    ],
    ids=str,
)
def test_without_backoff_it_is_the_delay_itself_every_time(policy: RetryPolicy, seconds: float, attempt: int) -> None:
    assert seconds_after(policy, attempt, draw=0.123) == seconds


def test_a_delay_of_nothing_is_at_once_also_with_backoff() -> None:
    assert seconds_after(RetryPolicy(delay=0), 9, draw=MOST) == 0


@pytest.mark.parametrize("attempt", [20, 41, 1000, 10**9])
def test_no_delay_is_longer_than_a_year_and_none_overflows(attempt: int) -> None:
    assert LONGEST_DELAY == A_YEAR
    assert RetryPolicy().delay_after(attempt) == A_YEAR
    assert RetryPolicy(delay=1e9).delay_after(attempt) == A_YEAR
    assert RetryPolicy(delay=1e9, backoff=False).delay_after(attempt) == A_YEAR


def test_the_last_attempt_before_the_cap_is_exact() -> None:
    assert seconds_after(RetryPolicy(), 19, draw=LEAST) == 60 * 2**19


@pytest.mark.parametrize("attempt", [0, -1])
def test_an_attempt_that_never_was_counts_as_the_first(attempt: int) -> None:
    assert seconds_after(RetryPolicy(), attempt, draw=LEAST) == 120


def test_the_draw_is_random_unless_it_is_given() -> None:
    delays = {RetryPolicy(delay=3600).delay_after(1) for _ in range(50)}
    assert len(delays) > 1
    assert all(timedelta(hours=1) <= delay < timedelta(hours=2) for delay in delays)


_FIELDS = st.none() | st.floats(0, 1e12)


@given(
    policy=st.builds(RetryPolicy, delay=_FIELDS, backoff=st.none() | st.booleans(), delay_max=_FIELDS),
    attempt=st.integers(1, 2000),
    draw=st.floats(0, MOST),
)
def test_every_delay_is_between_nothing_and_a_year_and_within_its_own_limit(
    policy: RetryPolicy, attempt: int, draw: float
) -> None:
    delay = policy.delay_after(attempt, draw=lambda: draw)
    assert timedelta() <= delay <= A_YEAR
    if policy.delay_max is not None and policy.backoff is not False:
        assert delay.total_seconds() <= policy.delay_max + 1e-6
