"""URLs that complete a token, made and checked without a storage of them."""

from __future__ import annotations

import re
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.callback_urls import CallbackUrls, base_of, callback_urls_of
from dataqueue.errors import InvalidSignature
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage

SECRET = bytes(range(32))
URLS = CallbackUrls("https://queue.example.com/base/", SECRET)
TOKEN = UUID("01936b2e-8f10-7c52-8d44-3b6f1e9a7c05")


def signature_in(url: str) -> str:
    [signature] = parse_qs(urlsplit(url).query)["signature"]
    return signature


def test_a_url_lies_below_the_base_and_names_the_token_and_its_namespace() -> None:
    url = urlsplit(URLS.of("a team/ü&x", TOKEN))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"https://queue.example.com/base/v1/tokens/{TOKEN}/callback"
    assert parse_qs(url.query)["namespace"] == ["a team/ü&x"]
    # 256 bits, of characters that no link breaks at.
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", signature_in(url.geturl()))


def test_it_is_the_same_in_every_process_that_has_the_secret() -> None:
    assert URLS.of("default", TOKEN) == CallbackUrls("https://queue.example.com/base", SECRET).of("default", TOKEN)


@given(namespace=st.text(max_size=20))
def test_a_url_of_ours_is_known(namespace: str) -> None:
    token_id = new_id()
    signature = URLS._signature(namespace, token_id).decode()
    URLS.check(namespace, token_id, signature)


def test_what_differs_in_anything_is_not_ours() -> None:
    signature = signature_in(URLS.of("default", TOKEN))
    others = [
        ("other", TOKEN, signature),
        ("", TOKEN, signature),
        ("default\0", TOKEN, signature),
        ("default", new_id(), signature),
        ("default", TOKEN, ""),
        ("default", TOKEN, signature[:-1]),
        ("default", TOKEN, signature + "="),
        ("default", TOKEN, signature.swapcase()),
        ("default", TOKEN, "é" * 43),
        ("default", TOKEN, "\udcff"),
        ("\udcff", TOKEN, signature),
        ("default", TOKEN, signature_in(CallbackUrls("https://queue.example.com", b"x" * 32).of("default", TOKEN))),
    ]
    for namespace, token_id, given_signature in others:
        with pytest.raises(InvalidSignature) as raised:
            URLS.check(namespace, token_id, given_signature)
        assert signature not in str(raised.value)


def test_every_character_of_a_signature_counts() -> None:
    signature = signature_in(URLS.of("default", TOKEN))
    for place, character in enumerate(signature):
        changed = signature[:place] + ("A" if character != "A" else "B") + signature[place + 1 :]
        with pytest.raises(InvalidSignature):
            URLS.check("default", TOKEN, changed)


def test_no_namespace_and_token_are_signed_as_another_pair() -> None:
    pairs = [("a", TOKEN), ("ab", TOKEN), (TOKEN.hex, TOKEN), ("", TOKEN), ("a", new_id())]
    assert len({URLS._signature(*pair) for pair in pairs}) == len(pairs)


async def test_the_secret_is_asked_for_once() -> None:
    asked = 0

    class Keys:
        async def signing_secret(self) -> bytes:
            nonlocal asked
            asked += 1
            return SECRET

    class Kept:
        keys: Any = Keys()

    storage, another = cast(Storage, Kept()), cast(Storage, Kept())
    urls = [await callback_urls_of(storage, base) for base in ("http://a", "http://a", "http://b")]
    assert asked == 1
    assert urls[0].of("default", TOKEN) == urls[1].of("default", TOKEN)
    assert urls[2].of("default", TOKEN).startswith("http://b/v1/")
    await callback_urls_of(another, "http://a")
    assert asked == 2


@pytest.mark.parametrize(
    ("public_url", "host", "base"),
    [
        (None, "127.0.0.1", "http://127.0.0.1:8000"),
        (None, "::1", "http://[::1]:8000"),
        ("https://queue.example.com/q", "127.0.0.1", "https://queue.example.com/q"),
    ],
)
def test_without_a_request_the_base_is_that_of_the_settings(public_url: str | None, host: str, base: str) -> None:
    assert base_of(public_url=public_url, host=host, port=8000) == base
