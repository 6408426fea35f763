"""API keys as values."""

from __future__ import annotations

import hashlib

import pytest

from dataqueue.domain.keys import PREFIX, Caller, Scope, digest_of, new_secret, shown_prefix


def test_a_secret_has_our_prefix_and_256_random_bits() -> None:
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    for secret in secrets:
        assert secret.startswith(PREFIX)
        assert len(secret.removeprefix(PREFIX)) * 6 >= 256
        assert secret.isascii()


def test_what_is_kept_of_a_secret_is_its_sha_256() -> None:
    assert digest_of("dq_a") == hashlib.sha256(b"dq_a").digest()
    assert digest_of("dq_a") != digest_of("dq_b")


def test_any_text_that_a_header_can_hold_has_a_digest() -> None:
    for text in ("", "\udcff", "é", "\x00", "a" * 100_000):
        assert len(digest_of(text)) == 32


def test_what_lists_show_of_a_secret_is_too_little_to_guess_the_rest() -> None:
    secret = new_secret()
    shown = shown_prefix(secret)
    assert secret.startswith(shown)
    assert shown.startswith(PREFIX)
    assert len(secret) - len(shown) >= 32


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_allows_itself_and_admin_allows_all(scope: Scope) -> None:
    for held in Scope:
        caller = Caller("default", frozenset({held}))
        assert caller.may(scope) is (held in {scope, Scope.ADMIN})


def test_any_of_several_scopes_is_enough_and_none_is_not() -> None:
    caller = Caller("default", frozenset({Scope.READ, Scope.WORK}))
    assert caller.may(Scope.MANAGE, Scope.WORK)
    assert not caller.may(Scope.MANAGE, Scope.ENQUEUE)
    assert not Caller("default", frozenset()).may(*Scope)
