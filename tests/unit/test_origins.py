"""Origins as settings name them: exactly as a browser does, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dataqueue.domain.origins import parse_origins
from dataqueue.settings import Settings


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example.com", ["https://app.example.com"]),
        ("http://127.0.0.1:8080", ["http://127.0.0.1:8080"]),
        ("http://localhost:65535", ["http://localhost:65535"]),
        ("http://[::1]:8080", ["http://[::1]:8080"]),
        ("https://xn--bcher-kva.example", ["https://xn--bcher-kva.example"]),
        ("http://example.com:443", ["http://example.com:443"]),
        (" https://a.example , https://b.example,", ["https://a.example", "https://b.example"]),
        ("https://a.example,https://a.example", ["https://a.example"]),
        ("", []),
        (" , ", []),
    ],
)
def test_origins_are_separated_by_commas(text: str, origins: list[str]) -> None:
    assert parse_origins(text) == tuple(origins)


@pytest.mark.parametrize(
    "text",
    [
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/page",
        "https://app.example.com?x",
        "https://App.example.com",
        "HTTPS://app.example.com",
        "https://app.example.com:443",
        "http://app.example.com:80",
        "http://app.example.com:080",
        "http://app.example.com:0",
        "http://app.example.com:65536",
        "http://app.example.com:",
        "https://me@app.example.com",
        "https://bücher.example",
        "https://.example.com",
        "https://app..example.com",
        "https://-app.example.com",
        "https://a.example https://b.example",
        "https://a.example;https://b.example",
        "https://a.example\nx",
        "ftp://app.example.com",
        "file://",
        "null",
        "[]",
    ],
)
def test_what_a_browser_would_never_send_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be written as a browser sends it"):
        parse_origins(text)


@pytest.mark.parametrize("text", ["*", "https://*.example.com", "https://a.example,*"])
def test_not_every_site_can_be_let_in(text: str) -> None:
    with pytest.raises(ValueError, match="name each origin"):
        parse_origins(text)


def test_the_wrong_one_of_several_is_counted_out() -> None:
    with pytest.raises(ValueError, match=r"^origin 2 must be written"):
        parse_origins("https://a.example,https://b.example/,https://c.example")


def test_the_setting_is_a_text_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().cors_origins == ()
    monkeypatch.setenv("DATAQUEUE_CORS_ORIGINS", "https://a.example, http://b.example:8080")
    assert Settings().cors_origins == ("https://a.example", "http://b.example:8080")
    monkeypatch.setenv("DATAQUEUE_CORS_ORIGINS", "")
    assert Settings().cors_origins == ()


@pytest.mark.parametrize("given", ["*", ["*"], ("https://a.example/",), 7, [7]])
def test_however_it_is_given_it_is_checked(given: Any) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings(cors_origins=given)
