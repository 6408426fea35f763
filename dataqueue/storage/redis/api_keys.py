"""API keys in Redis."""

from __future__ import annotations

import secrets
from typing import Final

import orjson

from dataqueue.domain.keys import ApiKey, Caller, Scope
from dataqueue.errors import StorageRefused
from dataqueue.ids import new_id
from dataqueue.storage.redis.instants import instant_of
from dataqueue.storage.redis.server import Server

_SECRET_BYTES: Final = 32


class RedisKeyStore:
    """See `storage.port.KeyStore`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def create(
        self, *, name: str, namespace: str, scopes: frozenset[Scope], digest: bytes, prefix: str
    ) -> ApiKey:
        key_id = new_id()
        kept = {"id": key_id, "name": name, "namespace": namespace, "scopes": sorted(scopes), "prefix": prefix}
        created_at = await self._server.run_shared("keys/create", namespace, digest.hex(), orjson.dumps(kept).decode())
        if created_at is None:
            raise StorageRefused("a key of the same digest is there")
        return ApiKey(
            id=key_id,
            name=name,
            namespace=namespace,
            scopes=scopes,
            prefix=prefix,
            created_at=instant_of(str(created_at)),
        )

    async def find(self, digest: bytes) -> Caller | None:
        kept = await self._server.run_shared("keys/find", digest.hex())
        if kept is None:
            return None
        key = orjson.loads(kept)
        return Caller(key["namespace"], frozenset(map(Scope, key["scopes"])))

    async def any_exist(self) -> bool:
        return bool(await self._server.run_shared("keys/any_exist"))

    async def signing_secret(self) -> bytes:
        fresh = secrets.token_hex(_SECRET_BYTES)
        return bytes.fromhex(await self._server.run_shared("keys/signing_secret", fresh))
