"""Wake-ups between processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Hint:
    """A wake-up. It may be lost or arrive twice, and says nothing that a poll would not find.

    `ready`: jobs of these types can be claimed (no names: of some types). `cancel`: a processing job is to
    be cancelled. `ended`: jobs have become terminal. `drain`: these workers have new orders. `admit`: staging has jobs
    to admit. `listening`, in no namespace and said by the listener itself: what was said before was not heard.
    """

    kind: Literal["ready", "cancel", "ended", "drain", "admit", "listening"]
    namespace: str
    names: tuple[str, ...] = ()


LISTENING: Final = Hint("listening", "")


class Notifier(Protocol):
    """Hints between processes."""

    async def publish(self, hint: Hint) -> None:
        """Send a hint to whoever listens. Never raises: a lost hint is found by the poll beneath."""
        ...

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Hint]]:
        """The hints from now on, the first of them `listening`, and again after each time it was away."""
        ...
