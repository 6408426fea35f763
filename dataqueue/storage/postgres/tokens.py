"""The waitpoint tokens of one namespace in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from dataqueue.domain.job import Json
from dataqueue.domain.tokens import NewToken, Token, TokenFilter, TokenPosition, TokenStatus
from dataqueue.errors import NotFound, StorageRefused
from dataqueue.storage.answers import Ended, TokenPage
from dataqueue.storage.postgres.database import Database
from dataqueue.storage.postgres.ending import Ending
from dataqueue.storage.postgres.enqueue import array_of
from dataqueue.storage.postgres.namespaces import NOWHERE, Namespaces
from dataqueue.storage.postgres.rows import token_of
from dataqueue.storage.postgres.token_pages import TokenPages


class PostgresTokenStore:
    """See `storage.port.TokenStore`."""

    def __init__(self, database: Database, namespaces: Namespaces, namespace: str) -> None:
        self._database, self._namespaces, self._namespace = database, namespaces, namespace
        self._ending = Ending(database)
        self._pages = TokenPages(database)

    async def create(self, tokens: Sequence[NewToken]) -> list[Token]:
        namespace_id = await self._namespace_id()
        if namespace_id == NOWHERE:
            raise NotFound(f"no namespace {self._namespace!r}")
        await self._database.run(
            "tokens/create",
            namespace_id=namespace_id,
            ids=[token.id for token in tokens],
            timeouts=[None if token.timeout is None else token.timeout.total_seconds() for token in tokens],
            tags=[array_of(token.tags) for token in tokens],
        )
        # A second statement: it sees those that were there before as well.
        made = await self._read([token.id for token in tokens])
        if not all(token.id in made for token in tokens):
            raise StorageRefused("the id of a token is taken")
        return [made[token.id] for token in tokens]

    async def get(self, token_id: UUID) -> Token:
        found = await self._read([token_id])
        if not found:
            raise _unknown(token_id)
        return found[token_id]

    async def page(self, matching: TokenFilter, *, before: TokenPosition | None, limit: int) -> TokenPage:
        namespace_id = await self._namespace_id()
        return await self._pages.page(self._namespace, namespace_id, matching, before=before, limit=limit)

    async def complete(self, token_id: UUID, *, output: Json) -> Ended:
        namespace_id = await self._namespace_id()
        async with self._database.transaction() as connection:
            held = await self._database.run_on(connection, "tokens/hold", id=token_id, namespace_id=namespace_id)
            if not held:
                raise _unknown(token_id)
            [found] = held
            if found.status != TokenStatus.WAITING:
                return Ended(token_of(found, self._namespace), is_first=False, woken=frozenset())
            status = TokenStatus.TIMED_OUT if found.is_up else TokenStatus.COMPLETED
            [row] = await self._ending.finish(
                connection, [token_id], status=status, output=None if found.is_up else output
            )
        woken = frozenset(row.woken)
        if row.waking:
            woken |= await self._ending.go_on(token_id)
        return Ended(token_of(row, self._namespace), is_first=not found.is_up, woken=woken)

    async def _read(self, ids: Sequence[UUID]) -> dict[UUID, Token]:
        rows = await self._database.run("tokens/get", ids=list(ids), namespace_id=await self._namespace_id())
        return {row.id: token_of(row, self._namespace) for row in rows}

    async def _namespace_id(self) -> int:
        return await self._namespaces.id_of(self._namespace)


def _unknown(token_id: UUID) -> NotFound:
    return NotFound(f"no token {token_id}")
