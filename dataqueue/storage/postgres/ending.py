"""The ends of tokens in PostgreSQL, and how those who wait hear of them: a bounded number in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from dataqueue.domain.job import Json
from dataqueue.domain.tokens import TokenStatus
from dataqueue.errors import StorageUnavailable
from dataqueue.storage.postgres.connecting import Row
from dataqueue.storage.postgres.database import Database

MOST_WAITERS: Final = 1000
_MOST_TOKENS: Final = 1000
"""That hear of an end, and that are ended, in one transaction."""


class Round(NamedTuple):
    """What a round did: tokens timed out, jobs resumed, and the types of these."""

    expired: int
    resumed: int
    woken: frozenset[str]


class Ending:
    """Ends tokens. Whoever is cut off half-way leaves them marked, for whoever comes next to go on with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def finish(
        self, connection: asyncpg.Connection, ids: Sequence[UUID], *, status: TokenStatus | None, output: Json | None
    ) -> list[Row]:
        """End tokens that a transaction has locked (`status` None: they have ended); wake some of those who wait."""
        return await self._database.run_on(
            connection, "tokens/finish", ids=list(ids), status=status, output=output, limit=MOST_WAITERS
        )

    async def go_on(self, token_id: UUID) -> frozenset[str]:
        """Wake who is left of those who wait for a token; the types of these jobs. Where that fails it is for upkeep:
        the token has ended, and its caller is to hear so."""
        woken: frozenset[str] = frozenset()
        try:
            while True:
                async with self._database.transaction() as connection:
                    if not await self._database.run_on(connection, "tokens/hold_waking", id=token_id):
                        return woken
                    [row] = await self.finish(connection, [token_id], status=None, output=None)
                woken |= frozenset(row.woken)
                if not row.heard:  # those who are left are about to be removed
                    return woken
        except StorageUnavailable:
            return woken

    async def expire(self, *, limit: int, namespace_id: int | None) -> Round:
        """See `storage.port.Upkeep.expire_tokens`."""
        rounds = [await self._wake_all_left(namespace_id)]
        left = limit
        while left > 0:
            ended = await self._batch(
                "upkeep/hold_due_tokens", TokenStatus.TIMED_OUT, min(left, _MOST_TOKENS), namespace_id
            )
            left -= len(ended)
            rounds.append(_round_of(ended, expired=len(ended)))
            if any(row.waking for row in ended):
                rounds.append(await self._wake_all_left(namespace_id))
            if len(ended) < _MOST_TOKENS:
                break
        return _added_up(rounds)

    async def _wake_all_left(self, namespace_id: int | None) -> Round:
        rounds = []
        while ended := await self._batch("upkeep/hold_waking_tokens", None, _MOST_TOKENS, namespace_id):
            rounds.append(_round_of(ended, expired=0))
            if not ended[0].heard:  # those who are left are about to be removed
                break
        return _added_up(rounds)

    async def _batch(self, holding: str, status: TokenStatus | None, limit: int, namespace_id: int | None) -> list[Row]:
        async with self._database.transaction() as connection:
            held = await self._database.run_on(connection, holding, limit=limit, namespace_id=namespace_id)
            if not held:
                return []
            return await self.finish(connection, [row.id for row in held], status=status, output=None)


def _round_of(ended: Sequence[Row], *, expired: int) -> Round:
    """Each row tells of the whole statement."""
    return Round(expired, ended[0].moved, frozenset(ended[0].woken)) if ended else Round(0, 0, frozenset())


def _added_up(rounds: Sequence[Round]) -> Round:
    woken = frozenset(name for one in rounds for name in one.woken)
    return Round(sum(one.expired for one in rounds), sum(one.resumed for one in rounds), woken)
