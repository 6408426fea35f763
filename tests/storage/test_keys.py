"""API keys: who calls, and in which namespace."""

from __future__ import annotations

import pytest

from dataqueue.domain.keys import Caller, Scope, digest_of, new_secret, shown_prefix
from dataqueue.ids import is_uuid7
from dataqueue.storage.port import Storage
from tests.storage.given import new_job


async def given_key(storage: Storage, *, namespace: str = "default", scopes: frozenset[Scope] = frozenset()) -> bytes:
    secret = new_secret()
    await storage.keys.create(
        name="a key", namespace=namespace, scopes=scopes, digest=digest_of(secret), prefix=shown_prefix(secret)
    )
    return digest_of(secret)


async def test_at_first_there_is_no_key(storage: Storage) -> None:
    assert not await storage.keys.any_exist()
    await given_key(storage)
    assert await storage.keys.any_exist()


async def test_a_key_is_kept_as_it_was_made_without_its_secret(storage: Storage) -> None:
    scopes = frozenset({Scope.READ, Scope.ENQUEUE})
    key = await storage.keys.create(
        name='the "web" 漢字', namespace="shop/eu", scopes=scopes, digest=b"\x00\xff" * 16, prefix="dq_12345678"
    )
    assert (key.name, key.namespace, key.scopes, key.prefix) == ('the "web" 漢字', "shop/eu", scopes, "dq_12345678")
    assert is_uuid7(key.id)
    assert key.created_at.tzinfo is not None
    assert await storage.keys.find(b"\x00\xff" * 16) == Caller("shop/eu", scopes)


@pytest.mark.parametrize("scopes", [frozenset(), *(frozenset({scope}) for scope in Scope), frozenset(Scope)], ids=len)
async def test_a_caller_has_the_scopes_of_the_key(storage: Storage, scopes: frozenset[Scope]) -> None:
    digest = await given_key(storage, scopes=scopes)
    assert await storage.keys.find(digest) == Caller("default", scopes)


async def test_a_key_that_nobody_issued_speaks_for_no_one(storage: Storage) -> None:
    digest = await given_key(storage)
    for other in (digest_of("dq_other"), digest[:-1], digest + b"\x00", b""):
        assert await storage.keys.find(other) is None


async def test_keys_of_one_name_are_different_keys(storage: Storage) -> None:
    first = await given_key(storage, namespace="a")
    second = await given_key(storage, namespace="b")
    assert await storage.keys.find(first) == Caller("a", frozenset())
    assert await storage.keys.find(second) == Caller("b", frozenset())


async def test_the_first_key_of_a_namespace_makes_it_and_the_second_finds_it(storage: Storage) -> None:
    await given_key(storage, namespace="new")
    [[job]] = await storage.jobs("new").enqueue([[new_job()]])
    await given_key(storage, namespace="new")
    assert (await storage.jobs("new").get(job.id)).namespace == "new"
