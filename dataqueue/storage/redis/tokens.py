"""The waitpoint tokens of one namespace in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final
from uuid import UUID

import orjson

from dataqueue.domain.job import Json
from dataqueue.domain.tokens import NewToken, Token, TokenFilter, TokenPosition, TokenStatus
from dataqueue.errors import NotFound
from dataqueue.storage.answers import Ended, TokenPage
from dataqueue.storage.redis.instants import instant_of, micros, micros_at
from dataqueue.storage.redis.namespaces import Namespaces
from dataqueue.storage.redis.rows import token_of
from dataqueue.storage.redis.server import Server, Value

_AT_ONCE: Final = 100
"""Tokens that one script makes."""
_MOST_LOOKED_AT: Final = 50_000
_OF_A_SCRIPT: Final = 200
_READ_AT_ONCE: Final = 50
_LARGEST: Final = 16 << 20
_LARGEST_OF_A_SCRIPT: Final = 1 << 20
"""As of pages of jobs."""


class RedisTokenStore:
    """See `storage.port.TokenStore`."""

    def __init__(self, server: Server, namespaces: Namespaces, namespace: str) -> None:
        self._server, self._namespaces, self._namespace = server, namespaces, namespace

    async def create(self, tokens: Sequence[NewToken]) -> list[Token]:
        if not await self._namespaces.exists(self._namespace):
            raise NotFound(f"no namespace {self._namespace!r}")
        made: list[Token] = []
        for first in range(0, len(tokens), _AT_ONCE):
            values = chain.from_iterable(map(_asked, tokens[first : first + _AT_ONCE]))
            made += map(self._token, await self._run("create", *values))
        return made

    async def get(self, token_id: UUID) -> Token:
        found = await self._run("get", str(token_id))
        if not found:
            raise _unknown(token_id)
        return self._token(found[0])

    async def page(self, matching: TokenFilter, *, before: TokenPosition | None, limit: int) -> TokenPage:
        asked, tokens = _filter_of(matching), list[Token]()
        looked_at = size = 0
        while True:
            room = min(limit - len(tokens), _READ_AT_ONCE), _OF_A_SCRIPT, min(_LARGEST - size, _LARGEST_OF_A_SCRIPT)
            found = await self._run("page", asked, *_placed(before), *room)
            why, created_at, last, looked, read = found[:5]
            tokens += map(self._token, found[5:])
            if why == "end":
                return TokenPage(tokens, None)
            if last:
                before = TokenPosition(instant_of(created_at), UUID(last))
            looked_at, size = looked_at + looked, size + read
            is_full = why == "more" and (len(tokens) == limit or size >= _LARGEST)
            if is_full or looked_at >= _MOST_LOOKED_AT:
                return TokenPage(tokens, before)

    async def complete(self, token_id: UUID, *, output: Json) -> Ended:
        found = await self._run("complete", str(token_id), output)
        if not found:
            raise _unknown(token_id)
        is_first, are_left, token, *types = found
        woken = set(types)
        # Whoever goes on with this if we are cut off now: upkeep.
        while are_left:
            are_left, *types = await self._run("wake", str(token_id))
            woken.update(types)
        return Ended(self._token(token), bool(is_first), frozenset(woken))

    def _token(self, found: Sequence[Any]) -> Token:
        return token_of(found, self._namespace)

    async def _run(self, verb: str, *values: Value) -> Any:
        return await self._server.run(f"tokens/{verb}", self._namespace, *values)


def tags_as_kept(tags: Sequence[str]) -> str:
    """Tags of a token: JSON, empty for none."""
    return orjson.dumps(tags).decode() if tags else ""


def _asked(token: NewToken) -> tuple[Value, ...]:
    """A token as `lua/tokens/create.lua` takes it."""
    return str(token.id), "" if token.timeout is None else micros(token.timeout), tags_as_kept(token.tags)


def _filter_of(matching: TokenFilter) -> str:
    """A filter as `lua/tokens/page.lua` takes it."""
    asked: dict[str, Any] = {
        "statuses": list(dict.fromkeys(matching.statuses)) or list(TokenStatus),
        "tags": list(dict.fromkeys(matching.tags)),
        "mode": matching.tag_mode,
    }
    if matching.job_id is not None:
        asked["job"] = matching.job_id
    return orjson.dumps(asked).decode()


def _placed(before: TokenPosition | None) -> tuple[Value, Value]:
    return ("", "") if before is None else (micros_at(before.created_at), str(before.id))


def _unknown(token_id: UUID) -> NotFound:
    return NotFound(f"no token {token_id}")
