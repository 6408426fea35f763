"""Who calls, and what they may do (contract 0, details B8 and B9)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from time import monotonic
from typing import Final

from fastapi import params
from fastapi.security import HTTPBearer
from starlette.types import Scope

from dataqueue.domain.keys import PREFIX, Caller, digest_of
from dataqueue.domain.keys import Scope as KeyScope
from dataqueue.errors import Unauthenticated
from dataqueue.storage.port import KeyStore

FRESH_FOR: Final = 5.0
_MOST_CACHED: Final = 4096
_OPEN: Final = Caller("default", frozenset({KeyScope.ADMIN}))
_WRONG: Final = "The key is missing, unknown or revoked. Send Authorization: Bearer dq_…"

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="dq_…",
    description="An API key. It belongs to one namespace and holds scopes; each operation names the one it needs.",
    auto_error=False,
)


def requires(*scopes: KeyScope) -> params.Depends:
    """Declare that a route needs a key holding one of these scopes; none given: any good key.

    It goes into `dependencies`: FastAPI documents it, `JsonRoute` enforces it.
    """
    return params.Security(_bearer, scopes=[scope.value for scope in scopes])


def scopes_of(dependencies: Sequence[params.Depends]) -> tuple[KeyScope, ...] | None:
    """What `requires` declared; None when the route is open to everybody."""
    for dependency in dependencies:
        if isinstance(dependency, params.Security) and dependency.dependency is _bearer:
            return tuple(KeyScope(scope) for scope in dependency.scopes or ())
    return None


class Authenticator:
    """Answers whom a request speaks for; remembers answers for a few seconds, so that revoking works soon."""

    def __init__(
        self,
        keys: KeyStore,
        *,
        open_access: bool,
        loopback: bool,
        origins: Collection[str] = (),
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._keys, self._open_access, self._loopback, self._now = keys, open_access, loopback, now
        self._origins = frozenset(origin.encode() for origin in origins)
        self._callers: dict[bytes, tuple[float, Caller | None]] = {}
        self._any_key: tuple[float, bool] | None = None

    async def caller(self, headers: Mapping[bytes, bytes], scope: Scope) -> Caller:
        """Unauthenticated unless a good key came along, or none is needed here. A key that came is always checked."""
        authorization = headers.get(b"authorization")
        if authorization is None:
            return await self._without_key(headers, scope)
        scheme, _, key = authorization.partition(b" ")
        secret = key.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not secret.startswith(PREFIX):
            raise Unauthenticated(_WRONG)
        found = await self._find(digest_of(secret))
        if found is None:
            raise Unauthenticated(_WRONG)
        return found

    def last_known(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Whom a key spoke for when the storage was last asked, however long ago; None: for nobody, or not known."""
        key = headers.get(b"authorization", b"").partition(b" ")[2]
        known = self._callers.get(digest_of(key.strip().decode("latin-1")))
        return None if known is None else known[1]

    async def _find(self, digest: bytes) -> Caller | None:
        known = self._callers.get(digest)
        if known is not None and self._now() < known[0]:
            return known[1]
        asked_at = self._now()
        caller = await self._keys.find(digest)
        self._callers.pop(digest, None)
        if len(self._callers) >= _MOST_CACHED:
            del self._callers[next(iter(self._callers))]
        self._callers[digest] = (asked_at + FRESH_FOR, caller)
        return caller

    async def _without_key(self, headers: Mapping[bytes, bytes], scope: Scope) -> Caller:
        if not await self._is_open():
            raise Unauthenticated(_WRONG)
        client = scope.get("client")
        if client is not None and not is_loopback(client[0]):
            # The address in the settings is not always the one somebody made the server listen on.
            raise Unauthenticated("Without a key only this machine may call.")
        of_another_site = headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        if of_another_site and headers.get(b"origin") not in self._origins:
            raise Unauthenticated("A page of another site may not call without a key.")
        return _OPEN

    async def _is_open(self) -> bool:
        if self._open_access:
            return True
        return self._loopback and not await self._a_key_exists()

    async def _a_key_exists(self) -> bool:
        if self._any_key is None or self._now() >= self._any_key[0]:
            asked_at = self._now()
            self._any_key = (asked_at + FRESH_FOR, await self._keys.any_exist())
        return self._any_key[1]


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach, or be, that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
