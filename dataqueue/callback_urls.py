"""URLs that complete a token without a key. They carry a signature of ours, and nothing of them is stored."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import Final
from urllib.parse import quote
from uuid import UUID
from weakref import WeakKeyDictionary

from dataqueue.errors import InvalidSignature
from dataqueue.storage.port import Storage

# What else is ever signed with the same secret says something else here.
_PURPOSE: Final = b"dataqueue token callback 1\n"
_WRONG: Final = "this is not the callback URL of this token"
_secrets: Final[WeakKeyDictionary[Storage, bytes]] = WeakKeyDictionary()


class CallbackUrls:
    """Makes such URLs below a base, and tells whether one is of ours."""

    def __init__(self, base: str, secret: bytes) -> None:
        self._base, self._secret = base.rstrip("/"), secret

    def of(self, namespace: str, token_id: UUID) -> str:
        """Where a POST completes that token."""
        signature = self._signature(namespace, token_id).decode()
        query = f"namespace={quote(namespace, safe='')}&signature={signature}"
        return f"{self._base}/v1/tokens/{token_id}/callback?{query}"

    def check(self, namespace: str, token_id: UUID, signature: str) -> None:
        """InvalidSignature, unless it is the one in that token's URL."""
        given = signature.encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, self._signature(namespace, token_id)):
            raise InvalidSignature(_WRONG)

    def _signature(self, namespace: str, token_id: UUID) -> bytes:
        # The id has a fixed length, so no two pairs are the same text.
        text = _PURPOSE + token_id.bytes + namespace.encode("utf-8", "surrogatepass")
        return urlsafe_b64encode(hmac.digest(self._secret, text, "sha256")).rstrip(b"=")


async def callback_urls_of(storage: Storage, base: str) -> CallbackUrls:
    """Those of the tokens in a storage, which is asked for its secret once."""
    secret = _secrets.get(storage)
    if secret is None:
        secret = _secrets[storage] = await storage.keys.signing_secret()
    return CallbackUrls(base, secret)


def base_of(*, public_url: str | None, host: str, port: int) -> str:
    """The base where no request says one: what the settings name, else where the API listens."""
    if public_url is not None:
        return public_url
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
