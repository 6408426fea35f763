"""What the scripts have in common, run by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from dataqueue.domain.job import EARLIEST, LATEST
from dataqueue.storage.redis.instants import micros_at
from dataqueue.storage.redis.scripts import script
from tests.redis_servers import RedisServer

MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1)


def wired(redis: RedisServer, instants: list[datetime]) -> list[str]:
    """Instants as `lib/instant.lua` writes them."""
    source = script("lib/instant").source + (
        "local texts = {} for number = 2, #ARGV do texts[number - 1] = wire(tonumber(ARGV[number])) end return texts"
    )
    return [text.decode() for text in redis.client.eval(source, 1, "{dq}", "", *map(micros_at, instants))]


def pythons(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"


def test_every_day_that_an_instant_may_fall_on_is_written_as_python_does(redis: RedisServer) -> None:
    noon = timedelta(hours=11, minutes=59, seconds=59, microseconds=7)
    days = [datetime(1970, 1, 1, tzinfo=UTC) + n * DAY + noon for n in range((LATEST.year - 1970) * 365 + 100)]
    assert days[-1].year > 2200
    for first in range(0, len(days), 1000):
        some = days[first : first + 1000]
        assert wired(redis, some) == [pythons(day) for day in some]


@pytest.mark.parametrize("year", [1999, 2000, 2028, 2100, 2200])
def test_the_turns_of_days_months_and_years_are_written_as_python_does(redis: RedisServer, year: int) -> None:
    turns = [datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(1, 13)]
    turns += [datetime(year, 2, 28, tzinfo=UTC) + n * DAY for n in range(3)]
    turns += [turn + step for turn in turns for step in (-MICROSECOND, MICROSECOND)]
    turns += [EARLIEST, LATEST - MICROSECOND]
    assert wired(redis, turns) == [pythons(turn) for turn in turns]
