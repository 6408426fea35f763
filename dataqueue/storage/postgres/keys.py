"""API keys in PostgreSQL."""

from __future__ import annotations

import secrets
from typing import Final

from dataqueue.domain.keys import ApiKey, Caller, Scope
from dataqueue.ids import new_id
from dataqueue.storage.postgres.database import Database

_SECRET_BYTES: Final = 32


class PostgresKeyStore:
    """See `storage.port.KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, *, name: str, namespace: str, scopes: frozenset[Scope], digest: bytes, prefix: str
    ) -> ApiKey:
        key_id = new_id()
        async with self._database.transaction() as connection:
            await self._database.run_on(connection, "keys/ensure_namespace", name=namespace)
            rows = await self._database.run_on(
                connection, "keys/create", id=key_id, name=name, namespace=namespace, digest=digest, prefix=prefix,
                scopes=sorted(scopes),
            )  # fmt: skip
        return ApiKey(
            id=key_id,
            name=name,
            namespace=namespace,
            scopes=scopes,
            prefix=prefix,
            created_at=rows[0].created_at,
        )

    async def find(self, digest: bytes) -> Caller | None:
        rows = await self._database.run("keys/find", digest=digest)
        return Caller(rows[0].namespace, frozenset(map(Scope, rows[0].scopes))) if rows else None

    async def any_exist(self) -> bool:
        return bool((await self._database.run("keys/any_exist"))[0].exist)

    async def signing_secret(self) -> bytes:
        fresh = secrets.token_bytes(_SECRET_BYTES)
        while not (rows := await self._database.run("keys/signing_secret", fresh=fresh)):
            pass  # another process was about it: the next statement sees what it made
        secret: bytes = rows[0].secret
        return secret
