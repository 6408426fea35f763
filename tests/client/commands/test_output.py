"""Values as text that harms no terminal and no program."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from workers.cli_output import json_of, moment, plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("a b", "a b"),
        ("tab\tline\nbell\x07", r"tab\tline\nbell\x07"),
        ("\x1b[31m\u009b\u202e\ud800", r"\x1b[31m\x9b\u202e\ud800"),
        (True, "true"),
        (1.5, "1.5"),
        (["a", {"b": None}], '["a",{"b":null}]'),
        ("back\\slash", "back\\slash"),
    ],
)
def test_a_value_is_one_line_of_harmless_text(value: Any, text: str) -> None:
    assert plain(value) == text


def test_json_is_the_same_value_without_raw_control_characters() -> None:
    value = {"\x1b": ["\x00\x7f\x9b\u2028\u202e\ud800 ä", 2**70]}
    text = json_of(value)
    assert json.loads(text) == value
    assert text.isprintable()


def test_json_is_ascii_where_nothing_else_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert json_of({"a": "ä"}) == r'{"a":"\u00e4"}'
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="UTF-8"))
    assert json_of({"a": "ä"}) == '{"a":"ä"}'


def test_an_instant_is_shown_to_the_second() -> None:
    assert moment("2026-11-24T01:02:03.000004Z") == "2026-11-24 01:02:03Z"
    assert moment(None) == ""
