"""Where the clients call, and as whom."""

from __future__ import annotations

import pytest

from dataqueue.client import AsyncClient, Client
from dataqueue.errors import Invalid
from tests.client.conftest import Speak
from tests.client.stub import answer


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATAQUEUE_API_URL", "DATAQUEUE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


async def asked(speak: Speak, url: str | None, key: str | None) -> tuple[str, str | None]:
    speaker = speak(answer({}), url=url, key=key)
    await speaker.ask("stats")
    return str(speaker.service.request.url), speaker.service.request.headers.get("authorization")


async def test_without_anything_this_machine_is_asked_without_a_key(speak: Speak) -> None:
    assert await asked(speak, None, None) == ("http://127.0.0.1:8000/v1/stats", None)


async def test_the_environment_names_the_service_and_the_key(speak: Speak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAQUEUE_API_URL", "https://queue.example.com/prefix/")
    monkeypatch.setenv("DATAQUEUE_API_KEY", "dq_secret\n")
    assert await asked(speak, None, None) == ("https://queue.example.com/prefix/v1/stats", "Bearer dq_secret")


async def test_what_is_given_goes_before_the_environment(speak: Speak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAQUEUE_API_URL", "https://queue.example.com")
    monkeypatch.setenv("DATAQUEUE_API_KEY", "dq_secret")
    assert await asked(speak, "http://other.test", "dq_other") == ("http://other.test/v1/stats", "Bearer dq_other")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "url",
    ["queue.example.com", "ftp://queue", "http://", "http://a:b@queue", "http://q?x=1", "http://q#x", "http://\0"],
)
def test_what_is_no_address_is_refused(kind: type[Client | AsyncClient], url: str) -> None:
    with pytest.raises(Invalid, match="the URL of the service") as raised:
        kind(url)
    assert raised.value.loc == ("url",)


@pytest.mark.parametrize("key", ["dq_ä", "dq a", "dq_\r\nx: y", " "])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(Invalid, match="the API key holds") as raised:
        Client("http://queue.test", key)
    assert key.strip() not in str(raised.value) or not key.strip()


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Client("http://queue.test", "dq_secret"))
    assert "secret" not in repr(AsyncClient("http://queue.test", "dq_secret"))
