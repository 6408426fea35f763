"""Calls to URLs that somebody else has chosen."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

import httpx

from dataqueue.egress.addresses import Address
from dataqueue.egress.answers import Answer, AnswerStream
from dataqueue.egress.connection import Connection, connect
from dataqueue.egress.errors import BrokenAnswer, CallFailed, ConnectFailed, TimedOut
from dataqueue.egress.policy import Policy
from dataqueue.egress.pool import IdleConnections, Key
from dataqueue.egress.reading import AnswerReader
from dataqueue.egress.resolving import RESOLVES_WITHIN, Resolver, SystemResolver, allowed_addresses
from dataqueue.egress.sending import request_of
from dataqueue.egress.urls import Target, check_url

CONNECTS_WITHIN: Final = 5.0
# A kept connection that the receiver was closing as we sent says so at once. What takes longer may be a handler that
# died of this very call, which is not to be called twice for it.
_STALE_WITHIN: Final = 0.25
_MOST_TRIED: Final = 8
_NOT_CONNECTED: Final = "no connection came about in time"


class GuardedClient:
    """Checks a URL, resolves its host once, connects to an address that was checked, and bounds what comes back.

    It follows no redirect, knows no proxy and reads nothing from the environment. It belongs to one event loop.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        resolve: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        connects_within: float = CONNECTS_WITHIN,
        resolves_within: float = RESOLVES_WITHIN,
    ) -> None:
        self._resolve = resolve or SystemResolver()
        self._tls = tls or default_tls()
        self._connects_within, self._resolves_within = connects_within, resolves_within
        self._idle = IdleConnections()
        self._is_closed = False
        self.use(policy)

    def use(self, policy: Policy) -> None:
        """From now on this policy holds, for kept connections, too."""
        self._policy = policy
        self._allows = lru_cache(maxsize=4096)(policy.allows)
        self._checked = lru_cache(maxsize=4096)(lambda url: check_url(url, policy))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what is kept; calls that are under way go on, and their connections are closed after them."""
        self._idle.close()
        self._is_closed = True

    async def check(self, url: str) -> Target:
        """As a call would: UrlNotAllowed, or a CallFailed where the host's name is not resolved."""
        target = self._checked(url)
        await self._addresses(target, within=self._resolves_within)
        return target

    async def call(
        self,
        url: str,
        *,
        namespace: str,
        within: float,
        max_body: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        method: str = "POST",
    ) -> Answer:
        """Send it, and read the whole answer. UrlNotAllowed, or a CallFailed; `within` is for everything together."""
        async with self.stream(
            url, namespace=namespace, within=within, max_body=max_body, headers=headers, body=body, method=method
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        *,
        namespace: str,
        within: float,
        max_body: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        method: str = "POST",
    ) -> AsyncIterator[AnswerStream]:
        """Send it, and wait for the head alone. Leaving the block ends the call; the deadline holds within it."""
        deadline = asyncio.get_running_loop().time() + within
        target = self._checked(url)
        key = (namespace, target.scheme, target.host, target.port)
        request = request_of(target, method, headers or {}, body)
        connection, reader = await self._answering(target, key, request, max_body=max_body, deadline=deadline)
        try:
            yield AnswerStream(connection, reader, max_body=max_body)
        finally:
            if connection.finish():
                if self._is_closed:
                    connection.close()
                else:
                    self._idle.keep(key, connection)

    async def _answering(
        self, target: Target, key: Key, request: bytes, *, max_body: int, deadline: float
    ) -> tuple[Connection, AnswerReader]:
        """A connection on which the head of the answer has come."""
        loop = asyncio.get_running_loop()
        kept = self._idle.take(key, self._allows)
        if kept is not None:
            reader, sent_at = AnswerReader(max_body=max_body), loop.time()
            try:
                await _head_of(kept, request, reader, deadline=deadline)
            except BrokenAnswer:
                if reader.heard or loop.time() - sent_at > _STALE_WITHIN:
                    raise
            else:
                return kept, reader
        connection = await self._connected(target, deadline=deadline)
        reader = AnswerReader(max_body=max_body)
        await _head_of(connection, request, reader, deadline=deadline)
        return connection, reader

    async def _connected(self, target: Target, *, deadline: float) -> Connection:
        """To the first of the host's addresses that can be reached, all of them being allowed."""
        loop = asyncio.get_running_loop()
        addresses = await self._addresses(target, within=min(self._resolves_within, deadline - loop.time()))
        until = min(deadline, loop.time() + self._connects_within)
        failure: CallFailed = ConnectFailed("no connection came about")
        tried = addresses[:_MOST_TRIED]
        for place, address in enumerate(tried):
            # So that one that is silent leaves time for the others.
            share = (until - loop.time()) / (len(tried) - place)
            if share <= 0:
                raise TimedOut(_NOT_CONNECTED)
            try:
                async with asyncio.timeout(share):
                    return await connect(target, address, tls=self._tls)
            except TimeoutError:
                failure = TimedOut(_NOT_CONNECTED)
            except ConnectFailed as failed:
                failure = failed
        raise failure

    async def _addresses(self, target: Target, *, within: float) -> list[Address]:
        return await allowed_addresses(target, self._policy, self._resolve, within=within)


async def _head_of(connection: Connection, request: bytes, reader: AnswerReader, *, deadline: float) -> None:
    connection.send(request, reader, deadline=deadline)
    try:
        await connection.head()
    except BaseException:
        connection.finish()
        raise


def default_tls() -> ssl.SSLContext:
    """The usual authorities, whatever the environment names."""
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context
