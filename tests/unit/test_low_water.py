"""Where a claim starts to look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from dataqueue.storage.postgres.low_water import START, LowWater, Mark

NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
FIRST: Final = Mark(0, NOW, 10)
LATER: Final = Mark(0, NOW, 20)


class Watch:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_the_first_claim_starts_before_every_job() -> None:
    assert LowWater().starts_for(["a", "b"]) == [START, START]
    assert Mark(-(2**15), NOW, 0) > START
    assert Mark(-(2**15), datetime(1970, 1, 1, tzinfo=UTC), 1) > START


def test_after_a_full_claim_the_next_starts_at_its_last_job_of_each_type() -> None:
    low_water = LowWater(monotonic=Watch())
    low_water.starts_for(["a", "b", "c"])
    low_water.claimed({"a": FIRST, "c": LATER}, was_full=True)
    assert low_water.starts_for(["a", "b", "c"]) == [FIRST, START, LATER]
    low_water.claimed({"a": LATER}, was_full=True)
    assert low_water.starts_for(["c", "a"]) == [LATER, LATER]


def test_after_a_claim_that_was_not_full_the_next_looks_everywhere() -> None:
    low_water = LowWater(monotonic=Watch())
    low_water.starts_for(["a", "b"])
    low_water.claimed({"a": FIRST, "b": FIRST}, was_full=True)
    low_water.claimed({"a": LATER}, was_full=False)
    assert low_water.starts_for(["a", "b"]) == [START, START]


def test_a_full_look_comes_after_a_fifth_of_a_second_and_then_again() -> None:
    watch = Watch()
    low_water = LowWater(monotonic=watch)
    for _ in range(3):
        assert low_water.starts_for(["a"]) == [START]
        low_water.claimed({"a": FIRST}, was_full=True)
        watch.seconds += 0.125
        assert low_water.starts_for(["a"]) == [FIRST]
        low_water.claimed({"a": LATER}, was_full=True)
        watch.seconds += 0.0625
        assert low_water.starts_for(["a"]) == [LATER]
        watch.seconds += 0.0625


def test_a_mark_may_go_back_when_an_earlier_claim_answers_later() -> None:
    low_water = LowWater(monotonic=Watch())
    low_water.starts_for(["a"])
    low_water.claimed({"a": LATER}, was_full=True)
    low_water.claimed({"a": FIRST}, was_full=True)
    assert low_water.starts_for(["a"]) == [FIRST]


def test_marks_are_in_the_order_of_claims() -> None:
    urgent, early = Mark(-1, NOW, 30), Mark(0, NOW.replace(year=2029), 40)
    assert sorted([LATER, FIRST, early, urgent]) == [urgent, early, FIRST, LATER]
