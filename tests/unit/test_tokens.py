"""Completing tokens, whoever asks; what does not take a storage to see."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import pytest

from dataqueue.domain.job import Json
from dataqueue.domain.tokens import Token, TokenStatus
from dataqueue.errors import TokenAlreadyCompleted, TokenExpired
from dataqueue.ids import new_id
from dataqueue.storage.answers import Ended, Expired
from dataqueue.storage.port import TokenStore, Upkeep
from dataqueue.tokens import complete_token, expire_tokens, is_same_json
from tests.storage.given import NAMESPACE

AT: Any = None


def token(status: TokenStatus = TokenStatus.COMPLETED, *, output: str | None = None) -> Token:
    return Token(
        id=new_id(), namespace=NAMESPACE, status=status, tags=(), job_id=None, name=None,
        output=None if output is None else Json(output), timeout_at=None, created_at=AT, completed_at=AT, expired_at=AT,
    )  # fmt: skip


class Tokens:
    """A store in which completing a token comes to this."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended

    async def complete(self, token_id: UUID, *, output: Json) -> Ended:
        return self.ended


async def completed(ended: Ended, output: str, woken: set[str]) -> Token:
    tokens = cast(TokenStore, Tokens(ended))
    return await complete_token(tokens, ended.token.id, output=Json(output), ready=woken.update)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1"),
        ('{"a":1,"b":[true,null]}', ' { "b" : [ true, null ],\n"a":1}'),
        ('"\\u00e9"', '"é"'),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.50", "1.5"),
    ],
)
def test_what_says_the_same_is_the_same(one: str, other: str) -> None:
    assert is_same_json(Json(one), Json(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "true"),
        ("0", "false"),
        ("0", "null"),
        ("1", '"1"'),
        ("[1,2]", "[2,1]"),
        ("{}", "[]"),
        ('{"a":null}', "{}"),
        ("123456789012345678901234567890", "123456789012345678901234567891"),
        ('{"a":{"b":1}}', '{"a":{"b":1.0}}'),
    ],
)
def test_what_differs_to_a_program_differs(one: str, other: str) -> None:
    assert not is_same_json(Json(one), Json(other))


async def test_a_repeat_is_no_error_and_wakes_whom_the_first_left_asleep() -> None:
    woken: set[str] = set()
    ended = Ended(token(output='{"a":1,"b":2}'), is_first=False, woken=frozenset({"mail"}))
    assert await completed(ended, '{"b":2,"a":1}', woken) is ended.token
    assert woken == {"mail"}


async def test_another_output_is_refused_and_the_first_one_not_told() -> None:
    ended = Ended(token(output='"by ada"'), is_first=False, woken=frozenset())
    with pytest.raises(TokenAlreadyCompleted) as raised:
        await completed(ended, '"by grace"', set())
    assert not {"ada", "grace"} & set(str(raised.value).split())


async def test_an_expired_token_is_expired_and_its_jobs_are_woken() -> None:
    woken: set[str] = set()
    with pytest.raises(TokenExpired):
        await completed(Ended(token(TokenStatus.TIMED_OUT), is_first=False, woken=frozenset({"mail"})), "1", woken)
    assert woken == {"mail"}


async def test_expiring_goes_on_while_batches_are_full_and_it_may() -> None:
    class Rounds:
        def __init__(self) -> None:
            self.left = [Expired(2, frozenset({"a"})), Expired(2, frozenset()), Expired(1, frozenset({"b"}))]

        async def expire_tokens(self, *, limit: int, namespace: str | None = None) -> Expired:
            assert (limit, namespace) == (2, NAMESPACE)
            return self.left.pop(0)

    woken: set[str] = set()
    rounds = Rounds()
    upkeep = cast(Upkeep, rounds)
    assert await expire_tokens(upkeep, namespace=NAMESPACE, batch=2, ready=woken.update) == 5
    assert (woken, rounds.left) == ({"a", "b"}, [])
    assert await expire_tokens(upkeep, namespace=NAMESPACE, batch=2, ready=woken.update, may_go_on=lambda: False) == 0
