"""The server, and the running of scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from dataqueue.clock import Clock
from dataqueue.storage.answers import Pool
from dataqueue.storage.redis.connecting import check
from dataqueue.storage.redis.connections import Command, Connections, connections_of
from dataqueue.storage.redis.errors import meaning_of, translated
from dataqueue.storage.redis.instants import micros_at
from dataqueue.storage.redis.keys import SHARED, beginning_of, keys_of
from dataqueue.storage.redis.scripts import Script, script

Value = str | int
"""What a script takes. Null and false are the empty text, true is any other."""


class Server:
    """Runs our scripts. One script is one round trip and one act."""

    def __init__(self, url: str, *, pool_size: int, patience: float, clock: Clock) -> None:
        check(url)
        self._url, self._pool_size, self._patience, self._clock = url, pool_size, patience, clock

    async def run(self, verb: str, namespace: str, /, *arguments: Value) -> Any:
        """The script `lua/<verb>.lua` on the keys of a namespace; StorageUnavailable when it may not have run."""
        [answer] = await self._run(script(verb), [(beginning_of(namespace), arguments)])
        return answer

    async def run_shared(self, verb: str, /, *arguments: Value) -> Any:
        """The same, on the keys that belong to no namespace."""
        [answer] = await self._run(script(verb), [(SHARED, arguments)])
        return answer

    async def run_each(self, verb: str, calls: Sequence[tuple[str, Sequence[Value]]]) -> list[Any]:
        """A script for several namespaces, each with arguments of its own. Only for what changes nothing: where one
        fails, nothing is said of the others."""
        return await self._run(script(verb), [(beginning_of(namespace), given) for namespace, given in calls])

    async def ask_each(self, *command: Value) -> list[Any]:
        """The reply of each primary to what no script can ask."""
        async with self._in_time():
            return [_answer(reply) for reply in await self.connections.ask_each(command)]

    async def _run(self, wanted: Script, calls: Sequence[tuple[str, Sequence[Value]]]) -> list[Any]:
        now = self._clock.now()
        at = "" if now is None else micros_at(now)
        sent: list[Command] = [(2, *keys_of(key), at, *arguments) for key, arguments in calls]
        async with self._in_time():
            replies = await self.connections.send([("EVALSHA", wanted.sha, *one) for one in sent])
            # New to it, or it was started anew; nothing has been done.
            unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                again = await self.connections.send([("EVAL", wanted.source, *sent[place]) for place in unknown])
                for place, reply in zip(unknown, again, strict=True):
                    replies[place] = reply
        return [_answer(reply) for reply in replies]

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        with translated():
            async with asyncio.timeout(self._patience):
                yield

    @cached_property
    def connections(self) -> Connections:
        """Made when first asked for: they belong to the event loop they are used on."""
        return connections_of(self._url, size=self._pool_size)

    @property
    def pool(self) -> Pool:
        """How many there are."""
        made: Connections | None = self.__dict__.get("connections")
        if made is None:
            return Pool(used=0, idle=0, most=self._pool_size)
        return Pool(used=made.used, idle=made.idle, most=made.most)

    async def close(self) -> None:
        """Close the connections."""
        if "connections" in self.__dict__:
            await self.connections.close()


def _answer(reply: Any) -> Any:
    """Errors of the server, as ours."""
    if isinstance(reply, ResponseError):
        raise meaning_of(reply) from reply
    return reply
