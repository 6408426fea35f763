"""Makes an API key where the storage is at hand."""

from __future__ import annotations

from dataqueue.domain.keys import Scope, digest_of, new_secret, shown_prefix
from dataqueue.settings import Settings
from dataqueue.storage.opening import open_storage, storage_url


async def make_key(settings: Settings, *, name: str, scopes: frozenset[Scope], if_none_exist: bool) -> str | None:
    """A new key of the settings' namespace, kept by its digest; None when one exists and that is enough."""
    # The embedded server is started here or found running; the loop has nothing else to do meanwhile.
    with storage_url(settings) as url:
        storage = open_storage(url, pool_size=2)
        try:
            await storage.check()
            if if_none_exist and await storage.keys.any_exist():
                return None
            secret = new_secret()
            await storage.keys.create(
                name=name,
                namespace=settings.namespace,
                scopes=scopes,
                digest=digest_of(secret),
                prefix=shown_prefix(secret),
            )
            return secret
        finally:
            await storage.close()
