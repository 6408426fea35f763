"""The connections of one process: to one server, or to the nodes of a cluster."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol, cast

from hiredis import pack_command
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - the driver's
    RedisError,
    ResponseError,
    SlotNotCoveredError,
)

from dataqueue.storage.redis.connecting import CONNECT_TIMEOUT, cluster_of, is_cluster, pool_of
from dataqueue.storage.redis.errors import translated, word_of

_LONGEST_GOODBYE: Final = 5.0
_SCRIPTS: Final = ("EVALSHA", "EVAL")
_FORMER_PRIMARY: Final = "READONLY"
_KEY: Final = 1
_KEY_OF_A_SCRIPT: Final = 3

Command = tuple[str | int, ...]


class Connections(Protocol):
    """Sends commands. A reply that is an error is a value: `ResponseError`. Anything else is ours, raised."""

    @property
    def used(self) -> int: ...
    @property
    def idle(self) -> int: ...
    @property
    def most(self) -> int: ...

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in order; to one server in one round trip."""
        ...

    async def ask_each(self, command: Command) -> list[Any]:
        """The reply of each primary."""
        ...

    async def another(self) -> Any:
        """A connection of the driver's, the caller's own and not yet made, to any node. Raises what the driver does."""
        ...

    async def close(self) -> None: ...


def connections_of(url: str, *, size: int) -> Connections:
    """Connects when something is sent."""
    return _OfCluster(url, size=size) if is_cluster(url) else _OfOne(url, size=size)


class _Places:
    """As many as may be used at a time."""

    def __init__(self, size: int) -> None:
        self.used, self.most = 0, size
        self._free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        with translated(ran=False):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._free.acquire()
        self.used += 1
        try:
            yield
        finally:
            self.used -= 1
            self._free.release()


class _OfOne(_Places):
    """Not the driver's own pool: that gives connections back after an await, and one that is cancelled then is lost."""

    def __init__(self, url: str, *, size: int) -> None:
        super().__init__(size)
        self._make: Callable[[], Any] = pool_of(url).make_connection
        self._at_rest: list[Any] = []

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        # The driver's own packing is in Python, and ten times as slow.
        packed = b"".join(pack_command(cast(Any, one)) for one in commands)
        async with self.place():
            with translated(ran=False):
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    connection = await self._take()
            try:
                with translated():
                    # Whatever breaks in here, a cancellation too, closes the connection.
                    await connection.send_packed_command(packed, check_health=False)
                    return [await self._reply(connection) for _ in commands]
            finally:
                if connection.is_connected:
                    self._at_rest.append(connection)

    async def ask_each(self, command: Command) -> list[Any]:
        return await self.send([command])

    async def another(self) -> Any:
        return self._make()

    @property
    def idle(self) -> int:
        return len(self._at_rest)

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            async with asyncio.timeout(_LONGEST_GOODBYE):
                while self._at_rest:
                    await self._at_rest.pop().disconnect()

    async def _take(self) -> Any:
        while self._at_rest:
            connection = self._at_rest.pop()
            is_alive = False
            try:
                if is_alive := await _is_alive(connection):
                    return connection
            finally:
                if not is_alive:
                    await connection.disconnect(nowait=True)
        connection = self._make()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    @staticmethod
    async def _reply(connection: Any) -> Any:
        try:
            return await connection.read_response()
        except ResponseError as error:
            if word_of(error) == _FORMER_PRIMARY:
                # The next connection may find the new one.
                await connection.disconnect(nowait=True)
            return error


class _OfCluster:
    """The driver's own client, which knows where each slot is. A node that hangs keeps those waiting who ask it."""

    def __init__(self, url: str, *, size: int) -> None:
        self._client, self._size = cluster_of(url, size=size), size
        self._places: defaultdict[str, _Places] = defaultdict(lambda: _Places(size))

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            return [await self._send(commands[0])]
        return await asyncio.gather(*(self._send(command) for command in commands))

    async def ask_each(self, command: Command) -> list[Any]:
        await self._find_nodes()
        nodes = self._client.get_primaries()
        return await asyncio.gather(*(self._send(command, node) for node in nodes))

    async def another(self) -> Any:
        await self._client.initialize()
        node = self._client.get_random_node()
        return node.connection_class(**node.connection_kwargs)

    @property
    def used(self) -> int:
        return sum(places.used for places in tuple(self._places.values()))

    @property
    def idle(self) -> int:
        return sum(one.is_connected for node in self._client.get_nodes() for one in tuple(node._free))

    @property
    def most(self) -> int:
        return self._size * max(1, len(self._client.get_primaries()))

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            async with asyncio.timeout(_LONGEST_GOODBYE):
                # Its own closing does nothing while it is about to look at the nodes anew.
                for nodes in ("nodes_cache", "startup_nodes"):
                    await self._client.nodes_manager.aclose(nodes)
                await self._client.aclose()

    async def _send(self, command: Command, node: ClusterNode | None = None) -> Any:
        await self._find_nodes()
        where = {} if node is None else {"target_nodes": [node]}
        async with self._places[self._name_of(node or self._node_of(command))].place():
            with translated():
                try:
                    return await self._client.execute_command(*command, **where)
                except ResponseError as error:
                    return error

    def _node_of(self, command: Command) -> ClusterNode | None:
        """Which will be asked, as far as is known."""
        key = command[_KEY_OF_A_SCRIPT if command[0] in _SCRIPTS else _KEY]
        with suppress(SlotNotCoveredError):
            return self._client.get_node_from_key(str(key))
        return None

    @staticmethod
    def _name_of(node: ClusterNode | None) -> str:
        return "" if node is None else str(node.name)

    async def _find_nodes(self) -> None:
        with translated(ran=False):
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._client.initialize()


async def _is_alive(connection: Any) -> bool:
    """Whether the server has neither hung up nor said anything since."""
    try:
        return connection.is_connected and not await connection.can_read()
    except ConnectionError:
        return False
