"""Where the service is and who calls: what both clients do about HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from dataqueue.client.calls import Call
from dataqueue.errors import Invalid
from dataqueue.settings import ClientSettings

ANSWERS_WITHIN: Final = 30.0
_CONNECTS_WITHIN: Final = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """The service's base URL, and the key to it; what is None is taken from the environment."""

    url: str
    key: str | None

    @classmethod
    def of(cls, url: str | None, key: str | None) -> Address:
        """Invalid for a URL or a key that cannot be one."""
        if url is None or key is None:
            settings = ClientSettings()
            url = url or settings.api_url
            key = key or (settings.api_key.get_secret_value() if settings.api_key else None)
        return cls(_base(url), None if key is None else _sendable(key))

    @property
    def headers(self) -> Mapping[str, str]:
        ours = {"accept": "application/json", "user-agent": "dataqueue-client"}
        return ours if self.key is None else {**ours, "authorization": f"Bearer {self.key}"}


def request_of(http: httpx.Client | httpx.AsyncClient, call: Call[Any], timeout: float) -> httpx.Request:
    """The request that a call is."""
    within = timeout + call.extra_time
    return http.build_request(
        call.method,
        call.path,
        params=call.query or None,
        content=call.body,
        headers={} if call.body is None else {"content-type": call.content_type},
        # However many calls wait for a connection of the pool, that is no silence of the service.
        timeout=httpx.Timeout(within, connect=min(_CONNECTS_WITHIN, within), pool=None),
    )


def _base(text: str) -> str:
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, TypeError):
        raise Invalid("the URL of the service cannot be read", loc=("url",)) from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise Invalid("the URL of the service must look like http://127.0.0.1:8000", loc=("url",))
    if url.userinfo or url.query or url.fragment:
        raise Invalid("the URL of the service ends with its path and holds no password: give a key", loc=("url",))
    return str(url)


def _sendable(key: str) -> str:
    key = key.strip()
    if not key or not (key.isascii() and key.isprintable() and " " not in key):
        raise Invalid("the API key holds characters that no key has", loc=("key",))
    return key
