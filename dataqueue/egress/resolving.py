"""From a name to addresses, all of which may be called."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from dataqueue.egress.addresses import Address, address_of
from dataqueue.egress.errors import ConnectFailed, Rule, TimedOut, UrlNotAllowed
from dataqueue.egress.policy import Policy
from dataqueue.egress.urls import Target

# The addresses of a name, as text. OSError where it has none.
Resolver = Callable[[str], Awaitable[Sequence[str]]]
RESOLVES_WITHIN: Final = 3.0
_MOST_LOOKUPS: Final = 64
_MOST_ADDRESSES: Final = 64


async def allowed_addresses(
    target: Target, policy: Policy, resolve: Resolver, *, within: float = RESOLVES_WITHIN
) -> list[Address]:
    """Where to connect, in the resolver's order. UrlNotAllowed if one of the addresses is not allowed: whoever has
    a say in one record of a name has one in all.
    """
    if target.address is not None:
        found = [target.address]
    else:
        try:
            async with asyncio.timeout(within):
                texts = await resolve(target.host)
            found = list(dict.fromkeys(map(_address, texts)))
        except TimeoutError:
            raise TimedOut("the host's name was not resolved in time") from None
        except OSError:
            raise ConnectFailed("the host's name was not resolved") from None
    if not found:
        raise ConnectFailed("the host's name was not resolved")
    if len(found) > _MOST_ADDRESSES or not all(policy.allows(address, target.port) for address in found):
        raise UrlNotAllowed(Rule.ADDRESS)
    return found


def _address(text: str) -> Address:
    try:
        return address_of(text)
    except ValueError:
        raise UrlNotAllowed(Rule.ADDRESS) from None


class SystemResolver:
    """Asks the system, in a thread a name.

    The threads are none of the loop's pool, which a silent name server could exhaust for everybody, and daemons, so
    that a process need not wait for one to end. Calls that ask for the same name at a time share the look-up.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Sequence[str]]] = {}
        self._room = asyncio.Semaphore(_MOST_LOOKUPS)

    async def __call__(self, host: str) -> Sequence[str]:
        answer = self._under_way.get(host)
        if answer is None:
            await self._room.acquire()
            # Somebody else may have asked while we waited.
            answer = self._under_way.get(host)
            if answer is None:
                answer = self._look_up(host)
            else:
                self._room.release()
        # Whoever gives up does so alone.
        return await asyncio.shield(answer)

    def _look_up(self, host: str) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        self._under_way[host] = answer

        def ended(addresses: Sequence[str], error: OSError | None) -> None:
            del self._under_way[host]
            self._room.release()
            if error is None:
                answer.set_result(addresses)
            else:
                answer.set_exception(error)
                # Everybody may have given up by now.
                answer.exception()

        def ask() -> None:
            addresses: list[str] = []
            error: OSError | None = None
            try:
                infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                addresses = [str(info[4][0]) for info in infos]
            except (OSError, UnicodeError) as raised:
                error = raised if isinstance(raised, OSError) else OSError("not a name")
            # Nobody waits where the loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended, addresses, error)

        threading.Thread(target=ask, name="resolving", daemon=True).start()
        return answer
