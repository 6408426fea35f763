"""What a connection that can be cut is made of, whatever its protocol."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """One client's connection, in the protocol of its server."""

    is_silent: bool

    async def forwards(self) -> None:
        """Carry what the client says, until it hangs up."""
        ...

    async def backwards(self) -> None:
        """Carry what the server answers, until it hangs up or an answer is to be lost."""
        ...


class Cuts(Protocol):
    """Decides after which statement a connection is cut."""

    def takes(self, statement: str) -> bool:
        """Whether this is the statement to cut after; it is asked once."""
        ...

    def missed(self, statement: str) -> None:
        """The server did not execute it after all: the next one counts."""
        ...
