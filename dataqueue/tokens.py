"""What is done with tokens, whoever asks: over HTTP, or inside a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from dataqueue.callback_urls import CallbackUrls
from dataqueue.domain.job import NULL, Json
from dataqueue.domain.tokens import NewToken, Token, TokenStatus
from dataqueue.errors import TokenAlreadyCompleted, TokenExpired
from dataqueue.storage.port import TokenStore, Upkeep

_ALREADY: Final = "the token was completed before, with another output: the first one counts"
_EXPIRED: Final = "the token expired before it was completed"


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A token just made. `callback_url`: a POST there completes it, without a key. Whoever has it can."""

    token: Token
    callback_url: str

    @property
    def id(self) -> UUID:
        return self.token.id


async def create_token(tokens: TokenStore, new: NewToken, *, namespace: str, urls: CallbackUrls) -> CreatedToken:
    """Make a token that belongs to no job."""
    [token] = await tokens.create([new])
    return CreatedToken(token, urls.of(namespace, token.id))


async def complete_token(
    tokens: TokenStore, token_id: UUID, *, output: Json, ready: Callable[[set[str]], None]
) -> Token:
    """Complete a token; `ready` is told the types of the jobs that resume. The first completion counts.

    The same output again changes nothing and is no error. NotFound, TokenAlreadyCompleted, TokenExpired.
    """
    ended = await tokens.complete(token_id, output=output)
    # Also where somebody else ended it: they may have been cut off before they woke anybody.
    if ended.woken:
        ready(set(ended.woken))
    if ended.token.status is TokenStatus.TIMED_OUT:
        raise TokenExpired(_EXPIRED)
    if not ended.is_first and not is_same_json(ended.token.output or NULL, output):
        raise TokenAlreadyCompleted(_ALREADY)
    return ended.token


async def expire_tokens(
    upkeep: Upkeep,
    *,
    namespace: str,
    batch: int,
    ready: Callable[[set[str]], None],
    may_go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Time out every token of a namespace whose time is up, and resume what waits for them; says how many.

    `may_go_on` is asked before each batch.
    """
    count, more = 0, True
    while more and may_go_on():
        expired = await upkeep.expire_tokens(limit=batch, namespace=namespace)
        count, more = count + expired.count, expired.count >= batch
        if expired.woken:
            ready(set(expired.woken))
    return count


def is_same_json(one: Json, other: Json) -> bool:
    """Whether two texts say the same: 1, 1.0 and true differ, the order of keys does not."""
    return one == other or _canonical(one) == _canonical(other)


def _canonical(text: Json) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
