"""Tokens inside a program: made for somebody outside, and completed for whatever waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from dataqueue import job_fields as fields
from dataqueue import tokens
from dataqueue.announcing import Announcer
from dataqueue.callback_urls import base_of, callback_urls_of
from dataqueue.domain.tokens import ANY_TOKEN, NewToken, Token, TokenFilter, TokenPosition
from dataqueue.ids import new_id
from dataqueue.job_fields import Duration, optional
from dataqueue.settings import WorkerSettings
from dataqueue.storage.answers import TokenPage
from dataqueue.storage.port import Storage

_MOST_LISTED: Final = 1000


class QueueTokens:
    """The part of a `Queue` that makes tokens and completes them."""

    namespace: str
    _storage: Storage
    _settings: WorkerSettings
    _announce: dict[str, Announcer]

    async def create_token(self, *, timeout: Duration | None = None, tags: Sequence[str] = ()) -> tokens.CreatedToken:
        """Make a token that belongs to no job: `id`, and `callback_url`, where a POST completes it without a key.

        Without a `timeout` it never expires. The URL's base is `DATAQUEUE_PUBLIC_URL`, else where the API of these
        settings listens.
        """
        new = NewToken(
            id=new_id(),
            timeout=optional(fields.delay, timeout, ("timeout",)),
            tags=fields.tags(tags, ("tags",)),
        )
        settings = self._settings
        base = base_of(public_url=settings.public_url, host=settings.host, port=settings.port)
        urls = await callback_urls_of(self._storage, base)
        return await tokens.create_token(self._storage.tokens(self.namespace), new, namespace=self.namespace, urls=urls)

    async def get_token(self, token_id: UUID | str) -> Token:
        """The token as it is now; NotFound. Its output is JSON text."""
        return await self._storage.tokens(self.namespace).get(_id(token_id))

    async def get_tokens(
        self, matching: TokenFilter = ANY_TOKEN, *, before: TokenPosition | None = None, limit: int = 50
    ) -> TokenPage:
        """A page of tokens, newest first; the next begins `before` its `next`, and None there is the end."""
        size = fields.whole(limit, ("limit",), least=1, most=_MOST_LISTED)
        return await self._storage.tokens(self.namespace).page(matching, before=before, limit=size)

    async def complete_token(self, token_id: UUID | str, output: Any = None) -> Token:
        """Complete a token with anything that can be JSON, and let the jobs that wait for it go on.

        The first completion counts; the same output again is no error. NotFound, TokenAlreadyCompleted, TokenExpired.
        """
        return await tokens.complete_token(
            self._storage.tokens(self.namespace),
            _id(token_id),
            output=fields.payload(output, ("output",), most=self._settings.max_payload_bytes),
            ready=self._announce["ready"],
        )


def _id(value: UUID | str) -> UUID:
    return fields.uuid(value, ("token_id",))
