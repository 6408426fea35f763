"""Durations as the contract writes them (contract 0, details B1 and B2)."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.domain.durations import LONGEST, parse_duration

SECONDS_IN: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
UNITS: Final = ("seconds", "minutes", "hours", "days", "weeks", "months", "years")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        (0.000001, 0.000001),
        ("90s", 90),
        ("10m", 600),
        ("48h", 172_800),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1h30m", 5400),
        ("1w2d3h4m5s", 604_800 + 2 * 86_400 + 3 * 3600 + 4 * 60 + 5),
        ("0h90s", 90),
        ("1.5h", 5400),
        ("0.25s", 0.25),
        ("007s", 7),
        ("100000m", 6_000_000),
        ({"seconds": 1}, 1),
        ({"minutes": 1}, 60),
        ({"hours": 1}, 3600),
        ({"days": 1}, 86_400),
        ({"weeks": 1}, 604_800),
        ({"months": 1}, 30 * 86_400),
        ({"years": 1}, 365 * 86_400),
        ({"hours": 1, "minutes": 30.5, "seconds": 0}, 5430),
        ({"years": 100}, 100 * 365 * 86_400),
        ("5214w2d", 5214 * 604_800 + 2 * 86_400),
    ],
    ids=str,
)
def test_a_duration_reads_as_so_many_seconds(value: object, seconds: float) -> None:
    assert parse_duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "90", "5 m", " 5m", "5m ", "5m\n", "-1m", "+1m", "1m1h", "1h1h", "1H", "1M", "1S", "h", "1", "s"),
        *(
            "1y",
            "1mo",
            "1ms",
            "1h 30m",
            "1,5h",
            ".5h",
            "1.h",
            "1e3s",
            "0x1s",
            "\u0967s",
            "\uff11s",
            "1h30",
            "P1D",
            "PT1H",
        ),
        *("0s", "0h0m", "0.0s", "99999999999999999999999w", "inf", "nan", "infs"),
        *(True, False, None, b"1s", [], [1], (1,), {1}, ...),
        *(-1, 0, 0.0, -0.0, -0.5, float("inf"), float("-inf"), float("nan"), 10**400, -(10**400), 2**53 + 1),
        *({}, {"hour": 1}, {"Hours": 1}, {"hours": 1, "": 1}, {"hours": "1"}, {"hours": None}, {"hours": True}),
        *({"hours": -1}, {"hours": 2, "minutes": -1}, {"hours": 0}, {"hours": [1]}, {1: 1}),
        *({"hours": float("nan")}, {"hours": float("inf")}, {"hours": 10**400}, {"years": 100, "seconds": 1}),
        *(100 * 365 * 86_400 + 1, "36501d", {"years": 100.1}),
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused_with_a_reason(value: object) -> None:
    with pytest.raises(ValueError, match=r"^(must|has) "):
        parse_duration(value)


@pytest.mark.parametrize("value", [0, 0.0, "0s", "0h0m", {"hours": 0}])
def test_nothing_is_a_duration_only_where_it_may_be(value: object) -> None:
    assert parse_duration(value, zero=True) == timedelta()
    with pytest.raises(ValueError, match="must be a positive duration"):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1, "-1s", {"hours": -1}, "", {}, True])
def test_less_than_nothing_is_a_duration_nowhere(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_duration(value, zero=True)


@pytest.mark.parametrize("value", [1e-7, 9e-7, "0.0000001s", {"seconds": 1e-9}])
def test_what_is_too_short_to_be_told_from_nothing_is_not_positive(value: object) -> None:
    with pytest.raises(ValueError, match="must be a positive duration"):
        parse_duration(value)


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    for value in ("<script>", {"<script>": 1}, {"hours": "<script>"}, ["<script>"]):
        with pytest.raises(ValueError, match=r"^(must|has) ") as refusal:
            parse_duration(value)
        assert "script" not in str(refusal.value)


_AMOUNTS = st.integers(0, 10_000) | st.decimals(0, 1000, places=3, allow_nan=False).map(float)
_PARTS = st.fixed_dictionaries({}, optional=dict.fromkeys(SECONDS_IN, _AMOUNTS))


@given(parts=_PARTS)
def test_a_text_is_the_sum_of_its_parts(parts: dict[str, float]) -> None:
    text = "".join(f"{parts[unit]}{unit}" for unit in SECONDS_IN if unit in parts)
    seconds = sum(amount * SECONDS_IN[unit] for unit, amount in parts.items())
    if not 0 < seconds <= LONGEST.total_seconds():
        with pytest.raises(ValueError, match="must"):
            parse_duration(text)
    else:
        assert parse_duration(text).total_seconds() == pytest.approx(seconds, abs=1e-4)


@given(parts=st.dictionaries(st.sampled_from(UNITS), _AMOUNTS, min_size=1))
def test_an_object_is_the_sum_of_its_units(parts: dict[str, float]) -> None:
    one = {unit: parse_duration({unit: 1}).total_seconds() for unit in UNITS}
    seconds = sum(amount * one[unit] for unit, amount in parts.items())
    if not 0 < seconds <= LONGEST.total_seconds():
        with pytest.raises(ValueError, match="must"):
            parse_duration(parts)
    else:
        assert parse_duration(parts).total_seconds() == pytest.approx(seconds, abs=1e-4)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"[\d.wdhms]{1,12}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(UNITS) | st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(value=_JSON, zero=st.booleans())
def test_whatever_json_can_say_is_a_duration_within_bounds_or_refused(value: object, zero: bool) -> None:
    with suppress(ValueError):
        duration = parse_duration(value, zero=zero)
        assert timedelta() <= duration <= LONGEST
        assert zero or duration > timedelta(), json.dumps(value)
