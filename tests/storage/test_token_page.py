"""Tokens listed newest first, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from dataqueue.clock import ManualClock
from dataqueue.domain.filters import TagMode
from dataqueue.domain.job import Json
from dataqueue.domain.tokens import ANY_TOKEN, NewToken, Token, TokenFilter, TokenPosition, TokenStatus
from dataqueue.ids import new_id
from dataqueue.storage.port import Storage, TokenStore
from tests.storage.given import NAMESPACE, SECOND, given_claimed_jobs, given_token, given_token_of

YES = Json('"yes"')
WAITING, COMPLETED, TIMED_OUT = TokenStatus.WAITING, TokenStatus.COMPLETED, TokenStatus.TIMED_OUT


async def listed(
    tokens: TokenStore, matching: TokenFilter = ANY_TOKEN, *, limit: int = 100
) -> tuple[list[UUID], list[int]]:
    """Every token that matches, page by page, and how many each page had."""
    ids: list[UUID] = []
    sizes: list[int] = []
    before: TokenPosition | None = None
    while True:
        page = await tokens.page(matching, before=before, limit=limit)
        ids += [token.id for token in page.tokens]
        sizes.append(len(page.tokens))
        if page.next is None:
            return ids, sizes
        before = page.next


async def given_some(storage: Storage, clock: ManualClock, tags: Sequence[tuple[str, ...]]) -> list[Token]:
    made = []
    for each in tags:
        clock.advance(SECOND)
        made.append(await given_token(storage, tags=each))
    return made


async def test_a_list_goes_from_the_newest_to_the_oldest_page_by_page(storage: Storage, clock: ManualClock) -> None:
    made = [token.id for token in await given_some(storage, clock, [()] * 7)]
    tokens = storage.tokens(NAMESPACE)
    assert await listed(tokens, limit=3) == (made[::-1], [3, 3, 1])
    assert await listed(tokens, limit=7) == (made[::-1], [7])


async def test_of_one_instant_the_greater_id_comes_first(storage: Storage) -> None:
    new = [NewToken(id=new_id()) for _ in range(25)]
    await storage.tokens(NAMESPACE).create(new[::-1])
    assert (await listed(storage.tokens(NAMESPACE), limit=10))[0] == sorted((token.id for token in new), reverse=True)


async def test_a_list_goes_on_where_it_was_though_tokens_come_and_end(storage: Storage, clock: ManualClock) -> None:
    tokens, made = storage.tokens(NAMESPACE), await given_some(storage, clock, [()] * 6)
    first = await tokens.page(ANY_TOKEN, before=None, limit=2)
    await given_some(storage, clock, [()] * 3)
    await tokens.complete(made[3].id, output=YES)
    second = await tokens.page(ANY_TOKEN, before=first.next, limit=2)
    assert [token.id for token in second.tokens] == [made[3].id, made[2].id]


async def test_a_list_by_status(storage: Storage, clock: ManualClock) -> None:
    tokens, made = storage.tokens(NAMESPACE), await given_some(storage, clock, [()] * 6)
    clock.advance(SECOND)
    expired = await given_token(storage, timeout=SECOND)
    clock.advance(SECOND)
    await storage.upkeep.expire_tokens(limit=10)
    for token in made[::2]:
        await tokens.complete(token.id, output=YES)
    waiting, completed = [token.id for token in made[5::-2]], [token.id for token in made[4::-2]]
    assert (await listed(tokens, TokenFilter(statuses=(WAITING,)), limit=2))[0] == waiting
    assert (await listed(tokens, TokenFilter(statuses=(COMPLETED,)), limit=2))[0] == completed
    both = TokenFilter(statuses=(TIMED_OUT, WAITING))
    assert (await listed(tokens, both, limit=2))[0] == [expired.id, *waiting]


async def test_a_list_by_job(storage: Storage) -> None:
    tokens, (held, other) = storage.tokens(NAMESPACE), await given_claimed_jobs(storage, 2)
    mine = [await given_token_of(storage, held.lease, name=str(number), tags=(str(number),)) for number in range(5)]
    await given_token_of(storage, other.lease)
    await given_token(storage)
    newest = sorted((token.id for token in mine), reverse=True)
    assert (await listed(tokens, TokenFilter(job_id=held.id), limit=2))[0] == newest
    await tokens.complete(mine[1].id, output=YES)
    narrow = TokenFilter(job_id=held.id, statuses=(COMPLETED,))
    assert (await listed(tokens, narrow))[0] == [mine[1].id]
    assert (await listed(tokens, TokenFilter(job_id=held.id, tags=("2",))))[0] == [mine[2].id]
    assert (await listed(tokens, TokenFilter(job_id=new_id())))[0] == []


@pytest.mark.parametrize(
    ("mode", "found"),
    [(TagMode.ALL, [4, 2]), (TagMode.ANY, [4, 3, 2, 1]), (TagMode.EXACT, [2]), (TagMode.NONE, [5, 0])],
)
async def test_a_list_by_tags(storage: Storage, clock: ManualClock, mode: TagMode, found: list[int]) -> None:
    made = await given_some(storage, clock, [(), ("a",), ("b", "a"), ("b", "c"), ("a", "b", "c"), ("c",)])
    matching = TokenFilter(tags=("a", "b"), tag_mode=mode)
    expected = [made[number].id for number in found]
    for limit in (1, 100):
        assert (await listed(storage.tokens(NAMESPACE), matching, limit=limit))[0] == expected
    waiting = TokenFilter(tags=("a", "b"), tag_mode=mode, statuses=(WAITING,))
    assert (await listed(storage.tokens(NAMESPACE), waiting))[0] == expected


async def test_a_rare_tag_is_found_behind_many_that_lack_it(storage: Storage) -> None:
    tokens = storage.tokens(NAMESPACE)
    rare = await given_token(storage, tags=("rare",))
    for _ in range(3):
        await tokens.create([NewToken(id=new_id(), tags=("common",)) for _ in range(1000)])
    assert (await listed(tokens, TokenFilter(tags=("rare",)), limit=1))[0] == [rare.id]


async def test_a_page_of_large_outputs_is_cut_and_the_next_goes_on(storage: Storage) -> None:
    tokens, large = storage.tokens(NAMESPACE), Json('"' + "x" * (1 << 20) + '"')
    made = [await given_token(storage) for _ in range(20)]
    for token in made:
        await tokens.complete(token.id, output=large)
    ids, sizes = await listed(tokens)
    assert set(ids) == {token.id for token in made}
    assert (len(ids), len(sizes)) == (20, 2)
