"""Values go onto the wire as the contract writes them, and come back equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from dataqueue.client.encoding import decode, encode, instant, seconds_of, segment
from tests.client.stub import JOB_ID


@pytest.mark.parametrize("value", [2**53 + 1, 2**64, -(10**40), 1.5, "äöü\u2028", [], {"a": [None, True]}])
def test_a_value_comes_back_equal(value: Any) -> None:
    back = decode(encode(value))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "\ud800", object(), {1, 2}, b"bytes", datetime(2026, 1, 1)],  # noqa: DTZ001 - naive on purpose
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode({"payload": value})


def test_instants_ids_and_lengths_of_time_are_written_out() -> None:
    moment = datetime(2026, 11, 24, 3, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    assert encode([moment, UUID(JOB_ID), timedelta(minutes=1.5)]) == (
        b'["2026-11-24T01:02:03.000004Z","%s",90.0]' % JOB_ID.encode()
    )


def test_an_instant_is_in_utc_and_text_is_left_to_the_service() -> None:
    assert instant(datetime(2026, 11, 24, tzinfo=UTC)) == "2026-11-24T00:00:00.000000Z"
    assert instant("tomorrow") == "tomorrow"
    with pytest.raises(ValueError, match="needs an offset"):
        instant(datetime(2026, 11, 24))  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize(
    ("value", "seconds"), [(timedelta(minutes=2), 120), (1.5, 1.5), ("1h30m", 5400), ({"days": 1}, 86_400), (0, 0)]
)
def test_a_duration_is_seconds(value: Any, seconds: float) -> None:
    assert seconds_of(value, zero=True) == seconds


@pytest.mark.parametrize("value", [-1, "soon", True, {}])
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        seconds_of(value, zero=True)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("a/b", "a%2Fb"), ("50%", "50%25"), ("ä b?#", "%C3%A4%20b%3F%23"), ("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b")],
)
def test_a_name_is_one_part_of_a_path(name: str, quoted: str) -> None:
    assert segment(name) == quoted
