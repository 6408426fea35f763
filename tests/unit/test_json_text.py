"""Values as JSON text that comes back equal, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.json_text import Unstorable, json_text

Plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=20,
)


class Mail(pydantic.BaseModel):
    to: str
    score: float | None = None


@dataclass
class Order:
    number: int
    at: datetime


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@given(Plain)
def test_a_value_comes_back_equal(value: Any) -> None:
    assert json.loads(json_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (10**30, "1" + "0" * 30),
        (Mail(to="a"), '{"to":"a","score":null}'),
        ([Order(7, datetime(2030, 1, 1, tzinfo=UTC))], '[{"number":7,"at":"2030-01-01T00:00:00Z"}]'),
        ({"id": UUID(int=1)}, '{"id":"00000000-0000-0000-0000-000000000001"}'),
        ("NaN, Infinity and \\u0000 in a text", '"NaN, Infinity and \\\\u0000 in a text"'),
        ("[" * 100, '"' + "[" * 100 + '"'),
        ('"' + "{" * 100, '"\\"' + "{" * 100 + '"'),
    ],
)
def test_what_pydantic_can_write_is_written(value: Any, text: str) -> None:
    assert json_text(value) == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "not finite"),
        ({"a": [-math.inf]}, "not finite"),
        (Mail(to="a", score=math.nan), "not finite"),
        ("a\0b", "NUL"),
        ({"a\0": 1}, "NUL"),
        ("\\\0", "NUL"),
        ("\ud800", "surrogates"),
        (b"\xff", "utf-8"),
        (object(), "unknown type"),
        (nested(65), "64 levels"),
    ],
    ids=["nan", "inf", "nan in a model", "nul", "nul in a key", "nul after a backslash", "surrogate", "bytes",
         "object", "deep"],
)  # fmt: skip
def test_what_no_storage_could_give_back_is_refused(value: Any, why: str) -> None:
    with pytest.raises(Unstorable, match=why):
        json_text(value)


def test_the_deepest_value_is_kept() -> None:
    assert json.loads(json_text(nested(64))) == nested(64)
